"""Tools as OpenAI describes them, and which of them has to be called."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from tallynet.protocol.errors import InvalidJob
from tallynet.protocol.request import MAX_REQUEST_BYTES

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


class InvalidTools(InvalidJob):
    """Tools that cannot be offered like this. `parameter` is the one at fault, by OpenAI's name; `possible` is False
    for what would be right by itself and cannot be promised here."""

    def __init__(self, message: str, *, parameter: str, remedy: str, possible: bool = True) -> None:
        super().__init__(message, remedy=remedy)
        self.parameter = parameter
        self.possible = possible
