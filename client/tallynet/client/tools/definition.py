"""Tools as OpenAI describes them, and which of them has to be called."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from tallynet.protocol.errors import InvalidJob
from tallynet.protocol.request import MAX_REQUEST_BYTES
from tallynet.protocol.units import printable

MAX_TOOLS = 128

Text = Annotated[str, Meta(max_length=MAX_REQUEST_BYTES)]
Name = Annotated[str, Meta(pattern=r"\A[a-zA-Z0-9_.-]{1,64}\Z")]
JsonObject = dict[str, Annotated[object, Meta(extra_json_schema={"description": "any JSON"})]]


class Function(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    name: Name
    description: Text = ""
    parameters: JsonObject = {}
    """A JSON schema."""
    strict: bool | None = None


class Tool(Struct, frozen=True, forbid_unknown_fields=True):
    type: Literal["function"]
    function: Function


class NamedFunction(Struct, frozen=True, forbid_unknown_fields=True):
    name: Name


class NamedTool(Struct, frozen=True, forbid_unknown_fields=True):
    """The one that has to be called."""

    type: Literal["function"]
    function: NamedFunction


Choice = Literal["none", "auto", "required"] | NamedTool
"""No call, a call if the model wants one, one call of any tool, or one of this tool."""

ToolMapping = Mapping[str, object]
"""`{"type": "function", "function": {"name": …, "description": …, "parameters": JSON schema}}`."""
ToolChoice = str | Mapping[str, object]
"""`none`, `auto`, `required`, the name of a tool, or `{"type": "function", "function": {"name": …}}`."""


class InvalidTools(InvalidJob):
    """Tools that cannot be offered like this. `parameter` is the one at fault, by OpenAI's name; `possible` is False
    for what would be right by itself and cannot be promised here."""

    def __init__(self, message: str, *, parameter: str, remedy: str, possible: bool = True) -> None:
        super().__init__(message, remedy=remedy)
        self.parameter = parameter
        self.possible = possible


def read_tools(tools: Sequence[ToolMapping]) -> list[Tool]:
    """Raises `InvalidTools`."""
    try:
        read: list[Tool] = msgspec.convert(list(tools), Annotated[list[Tool], Meta(max_length=MAX_TOOLS)])
    except (msgspec.ValidationError, RecursionError) as error:
        raise InvalidTools(
            f"A tool is not described as OpenAI describes tools: {printable(str(error))}.",
            parameter="tools",
            remedy='Write {"type": "function", "function": {"name": …, "description": …, "parameters": …}}.',
        ) from error
    return read


def read_choice(choice: ToolChoice) -> Choice:
    """Raises `InvalidTools`."""
    if isinstance(choice, str):
        return _WORDS.get(choice) or NamedTool("function", NamedFunction(choice))
    try:
        return msgspec.convert(choice, NamedTool)
    except (msgspec.ValidationError, RecursionError) as error:
        raise InvalidTools(
            f"tool_choice cannot be read: {printable(str(error))}.",
            parameter="tool_choice",
            remedy="Write none, auto, required, or the name of a tool.",
        ) from error


_WORDS: Mapping[str, Literal["none", "auto", "required"]] = {"none": "none", "auto": "auto", "required": "required"}
