"""Reading a request's body: what cannot be done is refused by its name, and nothing is ignored.

A parameter that we do not have is accepted while it has the value that asks for nothing (`presence_penalty: 0`).
"""

import re
from collections.abc import Mapping
from typing import NamedTuple, TypeVar

import msgspec

from tallynet.client.gateway.faults import ApiError, invalid
from tallynet.protocol.json_depth import check_depth
from tallynet.protocol.units import printable

T = TypeVar("T")


class Unsupported(NamedTuple):
    """A parameter of OpenAI's that the network has not."""

    nothing: tuple[object, ...]
    """The values, beside null, that ask for nothing."""
    why: str


_TOOLS = "Only /v1/chat/completions takes tools."
_OLD_TOOLS = "Send `tools` and `tool_choice` in their place."
_STATE = "The gateway keeps no conversations: send all messages with each request."
_CACHE = "Nodes keep what prompts begin with by themselves, and for whom they like."
_SAMPLER = "Tokens are drawn as protocol/spec/3-generation.md says, from temperature, top_p and top_k alone."

UNSUPPORTED: Mapping[str, Unsupported] = {
    "tools": Unsupported(([],), _TOOLS),
    "tool_choice": Unsupported(("none", "auto"), _TOOLS),
    "parallel_tool_calls": Unsupported((True, False), _TOOLS),
    "functions": Unsupported(([],), _OLD_TOOLS),
    "function_call": Unsupported(("none", "auto"), _OLD_TOOLS),
    "response_format": Unsupported(({"type": "text"},), "Only /v1/chat/completions takes a response format."),
    "presence_penalty": Unsupported((0,), _SAMPLER),
    "frequency_penalty": Unsupported((0,), _SAMPLER),
    "best_of": Unsupported((1,), "Ask for `n` answers and choose among them."),
    "suffix": Unsupported(("",), "Text is only continued at its end."),
    "modalities": Unsupported((["text"],), "Answers are text."),
    "audio": Unsupported((), "Answers are text."),
    "prediction": Unsupported((), "There is no faster way for a predicted answer."),
    "reasoning_effort": Unsupported(("none",), "No model here is told how much to think."),
    "verbosity": Unsupported((), "Say in the prompt how long the answer should be, and bound it by max_tokens."),
    "web_search_options": Unsupported((), "Nodes have no access to the web."),
    "store": Unsupported((False,), _STATE),
    "metadata": Unsupported(({},), _STATE),
    "service_tier": Unsupported(("auto", "default"), "Nodes serve all jobs in the order of arrival."),
    "moderation": Unsupported((), "Nobody here judges what is asked and answered."),
    "safety_identifier": Unsupported((), "Name your users with `user`, which goes into the access log."),
    "prompt_cache_key": Unsupported((), _CACHE),
    "prompt_cache_options": Unsupported((), _CACHE),
    "prompt_cache_retention": Unsupported((), _CACHE),
    "dimensions": Unsupported((), "A model's embeddings have the length that they have."),
}

_AT = re.compile(r" - at `\$\.?([^`]*)`")
_FIELD = re.compile(r"field `([^`]*)`")


def read_body(data: bytes, form: type[T]) -> T:
    """The body as a `form`. Raises `ApiError` 400 that names the parameter at fault."""
    given = _read_object(data)
    return _convert(_without_unsupported(given, form), form)


def _read_object(data: bytes) -> dict[str, object]:
    try:
        check_depth(data)
        return msgspec.json.decode(data, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid("invalid_json", f"The body is no JSON object: {printable(str(error))}.") from error


def _without_unsupported(given: dict[str, object], form: type[T]) -> dict[str, object]:
    """Leaves out nulls and what asks for nothing; raises for what asks for something that we have not."""
    known = {field.encode_name for field in msgspec.structs.fields(form)}  # type: ignore[arg-type]
    for name in given.keys() - known:
        _check_asks_for_nothing(name, given[name])
    return {name: value for name, value in given.items() if name in known and value is not None}


def _check_asks_for_nothing(name: str, value: object) -> None:
    unsupported = UNSUPPORTED.get(name)
    shown = printable(name, 64)
    if unsupported is None:
        raise invalid("unknown_parameter", f"There is no parameter {shown!r}: leave it out.", shown)
    if value is not None and not any(_same(value, nothing) for nothing in unsupported.nothing):
        raise invalid("unsupported_parameter", f"{name} is not supported: leave it out. {unsupported.why}", name)


def _same(value: object, other: object) -> bool:
    """Equal, and a boolean only where a boolean is meant: in Python `False == 0`."""
    return isinstance(value, bool) == isinstance(other, bool) and value == other


def _convert(given: dict[str, object], form: type[T]) -> T:
    try:
        return msgspec.convert(given, form)
    except (msgspec.ValidationError, RecursionError) as error:
        raise _explain(str(error)) from error


def _explain(message: str) -> ApiError:
    """msgspec's sentence as an error that names the parameter, `messages[0].role`."""
    place, field = _AT.search(message), _FIELD.search(message)
    path = place.group(1) if place else ""
    said = printable(_AT.sub("", message))
    if field is None:
        return invalid("invalid_value", f"{path}: {said}.", path or None)
    name = printable(".".join(part for part in (path, field.group(1)) if part))
    if "missing" in message:
        return invalid("missing_parameter", f"The parameter {name} is missing.", name)
    return invalid("unknown_parameter", f"There is no parameter {name}: leave it out.", name)
