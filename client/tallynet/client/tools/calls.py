"""Which calls there are in an answer.

A model that is offered tools calls one by writing JSON as its template taught it: between `<tool_call>` and
`</tool_call>` (Hermes, Qwen), or as its whole answer, one object or a list of them with `parameters` or `arguments`
(Llama, Mistral). What only looks like a call, of a tool that nobody offered or in broken JSON, stays text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from tallynet.client.json_text import write_json
from tallynet.protocol.json_depth import check_depth
from tallynet.protocol.request import ToolCall
from tallynet.protocol.units import JobId

OPEN, CLOSE = "<tool_call>", "</tool_call>"
_CALLS = msgspec.json.Decoder(dict[str, object] | list[dict[str, object]])


@dataclass(frozen=True, slots=True)
class Call:
    """One call in an answer."""

    name: str
    arguments: str
    """A JSON object."""


class Parts(NamedTuple):
    """An answer, apart."""

    text: str
    calls: Sequence[Call]


def take_apart(text: str, names: frozenset[str]) -> Parts:
    """A whole answer, when tools of these `names` were offered."""
    if not names:
        return Parts(text, ())
    reader = CallReader(names)
    return Parts(reader.feed(text)[0] + reader.finish()[0], reader.found)


def name_calls(job: JobId, calls: Sequence[Call], first: int = 0) -> tuple[ToolCall, ...]:
    """The calls in an answer to a job, from number `first` on, as the turn has them that answers go to.

    The ids are always the same ones, and no two answers share one.
    """
    return tuple(
        ToolCall(f"call_{job.hex()[:24]}_{number}", call.name, call.arguments)
        for number, call in enumerate(calls, first)
    )


def names_of(tools: str) -> frozenset[str]:
    """What can be called, of a request's `tools`."""
    told = msgspec.json.decode(tools, type=list[dict[str, object]]) if tools else []
    functions = [tool.get("function", tool) for tool in told]
    names = [function.get("name") for function in functions if isinstance(function, Mapping)]
    return frozenset(name for name in names if isinstance(name, str))


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
