"""Tools of a chat: what is asked of them, put into the request, and which calls there are in an answer.

A model that is offered tools calls one by writing JSON as its template taught it: between `<tool_call>` and
`</tool_call>` (Hermes, Qwen), or as its whole answer, one object or a list of them with `parameters` or `arguments`
(Llama, Mistral). What only looks like a call, of a tool that nobody offered or in broken JSON, stays text.

With `tool_choice` `required`, or a name, the answer is held to the JSON of one call by a schema.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from tallynet.client.gateway.bodies import AnyObject, ChatBody, NamedTool, ObjectOfSchema, ToolBody
from tallynet.client.gateway.faults import invalid
from tallynet.client.wishes import write_json
from tallynet.protocol.json_depth import check_depth

OPEN, CLOSE = "<tool_call>", "</tool_call>"
_CALLS = msgspec.json.Decoder(dict[str, object] | list[dict[str, object]])
OBJECT: Mapping[str, object] = {"type": "object"}


@dataclass(frozen=True, slots=True)
class Call:
    """One call in an answer."""

    name: str
    arguments: str
    """A JSON object."""


@dataclass(frozen=True, slots=True)
class Format:
    """What the answer may look like, as members of the request say it, and the names that can be called."""

    schema: str = ""
    tools: str = ""
    callable: frozenset[str] = frozenset()


def read_format(body: ChatBody) -> Format:
    """Raises `ApiError` 400 for a combination that would leave one of its parts out."""
    tools = body.tools or []
    _check_choice(body, tools)
    if not tools or body.tool_choice == "none":
        return Format(_schema(body))
    _check_together(body, tools)
    chosen = _chosen(body, tools)
    return Format(
        write_json({"anyOf": [_schema_of_call(tool) for tool in chosen]}) if chosen else "",
        write_json([_as_templates_want(tool) for tool in tools]),
        frozenset(tool.function.name for tool in tools),
    )


@dataclass
class CallReader:
    """Takes an answer as it comes apart into text and calls."""

    names: frozenset[str]
    found: list[Call] = field(default_factory=list)
    _held: str = ""
    _after_call: bool = False
    _begun: bool = False
    """Whether there was text or a call before what is held."""

    def feed(self, text: str) -> tuple[str, list[Call]]:
        """The text and the calls that are certain now."""
        self._held += text
        shown, before = "", len(self.found)
        while (part := self._take()) is not None:
            shown += part
        return shown, self.found[before:]

    def finish(self) -> tuple[str, list[Call]]:
        """What is left, at the end of the answer."""
        held, self._held = self._held, ""
        calls = [] if self._begun else _read_calls(held, self.names)
        self.found += calls
        return ("" if calls else held), calls

    def _take(self) -> str | None:
        """The next text that is certain, none of it where a call was; None where more has to come first."""
        if self._after_call:
            self._held = self._held.lstrip()
            self._after_call = not self._held
        if not self._begun and self._held.lstrip()[:1] in ("", "{", "["):
            return None
        start = self._held.find(OPEN)
        if start < 0:
            certain = len(self._held) - _possible_tag(self._held)
            blank = not self._begun and self._held[:certain].isspace()
            return None if blank else self._cut(certain) or None
        if start > 0:
            before = self._cut(start)
            return before if before.strip() else ""
        end = self._held.find(CLOSE)
        return None if end < 0 else self._take_call(self._cut(end + len(CLOSE)))

    def _take_call(self, whole: str) -> str:
        """What a text with both tags is: a call, or just this text."""
        calls = _read_calls(whole[len(OPEN) : -len(CLOSE)], self.names)
        self.found += calls
        self._after_call = bool(calls)
        return "" if calls else whole

    def _cut(self, length: int) -> str:
        part, self._held = self._held[:length], self._held[length:]
        self._begun = self._begun or bool(part)
        return part


def describe_calls(calls: Sequence[Call]) -> list[dict[str, object]]:
    """As OpenAI writes them, each with an id of its own."""
    return [
        {
            "id": f"call_{secrets.token_hex(12)}",
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }
        for call in calls
    ]


def _check_choice(body: ChatBody, tools: Sequence[ToolBody]) -> None:
    names = [tool.function.name for tool in tools]
    if len(set(names)) < len(names):
        raise invalid("invalid_value", "Two tools have the same name: rename one.", "tools")
    if body.tool_choice == "required" and not tools:
        raise invalid("invalid_value", "A call is required and no tool is offered: send tools.", "tool_choice")
    if isinstance(body.tool_choice, NamedTool) and body.tool_choice.function.name not in names:
        raise invalid("invalid_value", "tool_choice names a tool that is not among tools.", "tool_choice")


def _check_together(body: ChatBody, tools: Sequence[ToolBody]) -> None:
    if _schema(body):
        raise invalid(
            "unsupported_parameter",
            "response_format with tools is not supported: an answer held to a schema cannot call. Leave one out.",
            "response_format",
        )
    if _forced(body):
        return
    if body.parallel_tool_calls is False:
        raise invalid(
            "unsupported_parameter",
            "parallel_tool_calls: false is only supported with a tool_choice that requires a call: nothing else keeps "
            "a model from calling twice.",
            "parallel_tool_calls",
        )
    strict = next((index for index, tool in enumerate(tools) if tool.function.strict), None)
    if strict is not None:
        raise invalid(
            "unsupported_parameter",
            "strict is only supported with a tool_choice that requires a call: then arguments keep to their schema.",
            f"tools[{strict}].function.strict",
        )


def _forced(body: ChatBody) -> bool:
    return body.tool_choice == "required" or isinstance(body.tool_choice, NamedTool)


def _chosen(body: ChatBody, tools: Sequence[ToolBody]) -> list[ToolBody]:
    """Those of which one has to be called; none where the model is free."""
    if isinstance(body.tool_choice, NamedTool):
        return [tool for tool in tools if tool.function.name == body.tool_choice.function.name]
    return list(tools) if body.tool_choice == "required" else []


def _schema(body: ChatBody) -> str:
    match body.response_format:
        case ObjectOfSchema(json_schema=named):
            return write_json(named.schema)
        case AnyObject():
            return write_json(OBJECT)
        case _:
            return ""


def _schema_of_call(tool: ToolBody) -> dict[str, object]:
    function = tool.function
    return {
        "type": "object",
        "properties": {"name": {"const": function.name}, "arguments": function.parameters or OBJECT},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def _as_templates_want(tool: ToolBody) -> dict[str, object]:
    """Every template reads these members, and some fail where one is missing."""
    function = tool.function
    told = {"name": function.name, "description": function.description, "parameters": function.parameters or OBJECT}
    return {"type": "function", "function": told}


def _read_calls(text: str, names: frozenset[str]) -> list[Call]:
    """The calls that a whole answer is; none when it is anything else."""
    try:
        check_depth(text)
        given = _CALLS.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return []
    calls = [_call(one, names) for one in (given if isinstance(given, list) else [given])]
    return [call for call in calls if call is not None] if None not in calls else []


def _possible_tag(text: str) -> int:
    """Characters at the end that may become the opening tag."""
    return next((length for length in range(len(OPEN) - 1, 0, -1) if text.endswith(OPEN[:length])), 0)


def _call(given: Mapping[str, object], names: frozenset[str]) -> Call | None:
    name = given.get("name")
    arguments = given.get("arguments", given.get("parameters"))
    if not isinstance(name, str) or name not in names or not isinstance(arguments, dict):
        return None
    return Call(name, write_json(arguments))
