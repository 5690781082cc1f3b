"""What a flow is given: read from the command line, checked against the definition, committed to under fresh salts."""

import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path

from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.flow import Flow, Kind
from tallynet.protocol.flow_plan import OpenedInput
from tallynet.protocol.flow_template import Value
from tallynet.protocol.request import MAX_REQUEST_BYTES


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
        whole = _file(Path(value[1:])) if value.startswith("@") else value
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


def _file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_REQUEST_BYTES + 1)
        if len(data) > MAX_REQUEST_BYTES:
            raise Misconfigured(f"{path} has more than {MAX_REQUEST_BYTES} bytes.", remedy="Shorten it.")
        return data.decode()
    except OSError as error:
        raise Misconfigured(f"{path} cannot be read: {error.strerror}.", remedy="Name a text file.") from error
    except UnicodeDecodeError as error:
        raise Misconfigured(f"{path} is no UTF-8: {error}.", remedy="Convert it to UTF-8.") from error
