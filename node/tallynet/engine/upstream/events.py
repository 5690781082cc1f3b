"""What a server streams: server-sent events, each with the next part of the answer.

Two forms of one thing: `choices[0].text` of a completion, `choices[0].delta.content` of a chat. Token ids stand in
`token_ids` (vLLM, where asked for) or in the logprobs (llama.cpp); OpenAI's own API tells none.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
from msgspec import Struct

from tallynet.engine.upstream.stand_ins import VOCABULARY_SIZE, stand_in
from tallynet.protocol.errors import Unreachable
from tallynet.protocol.units import TokenIds

MAX_EVENT_BYTES = 256 * 1024
MAX_STREAM_BYTES = 64 * 1024 * 1024
"""More than 8192 tokens with their logprobs take."""

TOKEN_CHARACTERS = 1000
"""Longest text of one stand-in; a longer part has several. So 16 of them, and a possible stop string that was held
back before, fit one chunk."""

DONE = b"[DONE]"
UNTOLD = 0.0
"""Stands for a logprob that the server did not tell."""

REMEDY = "Send the job again later, or to another node."


class _Logged(Struct):
    token: str = ""
    logprob: float | None = None
    id: int | None = None


class _Logprobs(Struct):
    content: list[_Logged] | None = None
    tokens: list[str] | None = None
    token_logprobs: list[float | None] | None = None

    def logged(self) -> list[_Logged]:
        """The tokens in the one form, whichever it was."""
        if self.content is not None:
            return self.content
        values = self.token_logprobs or []
        return [_Logged(token, value) for token, value in zip(self.tokens or [], values, strict=False)]


class _Delta(Struct):
    content: str | None = None


class _Choice(Struct):
    text: str | None = None
    delta: _Delta | None = None
    logprobs: _Logprobs | None = None
    token_ids: list[int] | None = None
    finish_reason: str | None = None


class _Event(Struct):
    choices: list[_Choice] = []
    error: object = None


@dataclass(frozen=True, slots=True)
class Part:
    """The next part of an answer."""

    text: str
    tokens: TokenIds
    logprobs: tuple[float, ...]
    """One per token, at most 0; 0 where none was told."""
    ids_told: bool
    """Whether the ids are the server's own."""
    logprobs_told: bool
    reason: str | None
    """Why the answer ended, in the server's word; None while it goes on."""


_DECODER = msgspec.json.Decoder(_Event)


class EventReader:
    """Bytes as they come into the data of events. Raises `Unreachable` for more than anybody would send."""

    def __init__(self) -> None:
        self._unread = bytearray()
        self._taken = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The data of the events that are complete with `data`; comments and other fields are passed over."""
        self._taken += len(data)
        self._unread += data
        *lines, rest = self._unread.split(b"\n")
        self._unread = rest
        if self._taken > MAX_STREAM_BYTES or max(map(len, (*lines, rest))) > MAX_EVENT_BYTES:
            raise malformed("more than an answer can hold")
        for line in lines:
            if line.startswith(b"data:"):
                yield bytes(line.removeprefix(b"data:").strip())


def read_parts(data: bytes) -> list[Part]:
    """What one event says: none, one, or for a long text several parts. Raises `Unreachable`."""
    try:
        event = _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise malformed("what is no event of the OpenAI API") from error
    if event.error is not None:
        raise Unreachable("the server behind this model broke off with an error", remedy=REMEDY)
    if not event.choices:
        return []
    choice = event.choices[0]
    text = choice.text or (choice.delta.content if choice.delta else None) or ""
    logged = choice.logprobs.logged() if choice.logprobs else []
    ids = _ids(choice, logged)
    if ids is None and not logged:
        return _standing_in(text, choice.finish_reason)
    return [_part(text, ids, logged, choice.finish_reason)]


def malformed(what: str) -> Unreachable:
    return Unreachable(f"the server behind this model sent {what}", remedy=REMEDY)


def _part(text: str, ids: list[int] | None, logged: list[_Logged], reason: str | None) -> Part:
    """A part whose tokens were told, if only by what is written in each."""
    ids_told = ids is not None
    ids = [stand_in(entry.token) for entry in logged] if ids is None else ids
    values = [entry.logprob for entry in logged]
    told = len(values) == len(ids) and all(value is not None for value in values)
    logprobs = [_logprob(value) for value in values] if told else [UNTOLD] * len(ids)
    if len(text) > TOKEN_CHARACTERS * max(1, len(ids)):
        raise malformed("more text than tokens can hold")
    return Part(text, tuple(ids), tuple(logprobs), ids_told, told and bool(ids), reason)


def _standing_in(text: str, reason: str | None) -> list[Part]:
    """One stand-in, or several where the text is long; the end comes by itself."""
    cuts = [text[start : start + TOKEN_CHARACTERS] for start in range(0, len(text), TOKEN_CHARACTERS)]
    parts = [Part(cut, (stand_in(cut),), (UNTOLD,), False, False, None) for cut in cuts]
    return parts if reason is None else [*parts, Part("", (), (), False, False, reason)]


def _ids(choice: _Choice, logged: list[_Logged]) -> list[int] | None:
    """The server's own ids, where it told one for every token."""
    ids = choice.token_ids
    if ids is None:
        told = [entry.id for entry in logged if entry.id is not None]
        ids = told if logged and len(told) == len(logged) else None
    if ids is not None and not all(0 <= token < VOCABULARY_SIZE for token in ids):
        raise malformed("token ids that are none")
    return ids


def _logprob(value: float | None) -> float:
    """A logprob as chunks hold it: finite and not above 0. What lies outside is rounding, or counts as the least."""
    if value is None or math.isnan(value):
        return UNTOLD
    return min(0.0, max(value, -1e30))
