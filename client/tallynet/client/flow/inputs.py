"""What a flow is given: read from the command line, checked against the definition, committed to under fresh salts."""

import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path

from tallynet.client.text_file import read_text_file
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.flow import Flow, Kind
from tallynet.protocol.flow_plan import OpenedInput
from tallynet.protocol.flow_template import Value


def salted(inputs: Mapping[str, Value]) -> dict[str, OpenedInput]:
    """Each input with a salt of its own."""
    return {name: OpenedInput(secrets.token_bytes(32), value) for name, value in inputs.items()}


def read_inputs(flow: Flow, texts: Iterable[str]) -> dict[str, Value]:
    """Inputs as `name=value` or `name=@file`; a list is one value after the other, or the lines of a file.

    Raises `Misconfigured` for what is no input of the flow, and for a file that cannot be read.
    """
    given: dict[str, list[str]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or name not in flow.inputs:
            raise Misconfigured(
                f"{text[:60]!r} is no input of the flow {flow.name!r}.",
                remedy=f"Give --input NAME=VALUE for each of: {', '.join(flow.inputs) or 'none'}.",
            )
        whole = read_text_file(Path(value[1:]), remedy="Shorten it.") if value.startswith("@") else value
        of_lines = value.startswith("@") and flow.inputs[name] is Kind.LIST
        given.setdefault(name, []).extend(
            [line for line in whole.splitlines() if line.strip()] if of_lines else [whole]
        )
    return {name: _value(name, flow.inputs[name], values) for name, values in given.items()}


def _value(name: str, kind: Kind, values: list[str]) -> Value:
    if kind is Kind.LIST:
        return tuple(values)
    if len(values) > 1:
        raise Misconfigured(f"The input {name!r} is one text and given {len(values)} times.", remedy="Give it once.")
    return values[0]
