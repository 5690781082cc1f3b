"""Cheats, outside of the product: a transport that changes what an honest node sends, after it was signed.

The node behind it runs the ordinary code and does not know. A `Cheat` names itself and says what becomes of each
frame; whoever wants another kind of cheat writes one more function.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec

from tallynet.devnet.passing import PassingStream, PassingTransport
from tallynet.network.frames import FROM_NODE
from tallynet.network.transport import Handler, Stream, Transport
from tallynet.protocol.chunk import ChunkBody
from tallynet.protocol.wire import HEADER_BYTES, JOB_PROTOCOL, FromNode, Streamed, decode_length, encode_frame

Alter = Callable[[FromNode], FromNode]


@dataclass(frozen=True, slots=True)
class Cheat:
    """One way to cheat."""

    kind: str
    """Its name, as in reports."""
    about: str
    alter: Alter
    """What is sent in place of a frame."""


def _alter_answer(frame: FromNode) -> FromNode:
    """Another last word in every chunk; the signature stays that of the true chunk."""
    if not isinstance(frame, Streamed):
        return frame
    body = frame.chunk.body
    text, changes = re.subn(r"\w+(?=\W*$)", "Atlantis", body.text, count=1)
    altered: ChunkBody = msgspec.structs.replace(body, text=text if changes else f"{text}Atlantis")
    return Streamed(msgspec.structs.replace(frame.chunk, body=altered))


ALTERED_ANSWER = Cheat("altered-answer", "a word of the answer is replaced after the chunk was signed", _alter_answer)

CHEATS = {cheat.kind: cheat for cheat in (ALTERED_ANSWER,)}


class TamperingTransport(PassingTransport):
    """A node's transport with a cheat on its way out. Everything but the answers to jobs passes untouched."""

    def __init__(self, honest: Transport, cheat: Cheat) -> None:
        super().__init__(honest)
        self._cheat = cheat

    def serve(self, protocol: str, handler: Handler) -> None:
        super().serve(protocol, self._tampered(handler) if protocol == JOB_PROTOCOL else handler)

    def _tampered(self, handler: Handler) -> Callable[[Stream], Awaitable[None]]:
        async def serve(stream: Stream) -> None:
            await handler(TamperingStream(stream, self._cheat.alter))

        return serve


class TamperingStream(PassingStream):
    """A stream whose outgoing frames are changed. Frames may be written in any number of pieces."""

    def __init__(self, honest: Stream, alter: Alter) -> None:
        super().__init__(honest)
        self._alter = alter
        self._pending = b""

    async def send(self, data: bytes) -> None:
        self._pending += data
        while (end := self._end_of_frame()) is not None:
            frame, self._pending = self._pending[:end], self._pending[end:]
            await super().send(encode_frame(self._alter(FROM_NODE.decode(frame[HEADER_BYTES:]))))

    def _end_of_frame(self) -> int | None:
        """Where the first whole frame of what was written ends, if it is whole."""
        if len(self._pending) < HEADER_BYTES:
            return None
        end = HEADER_BYTES + decode_length(self._pending[:HEADER_BYTES])
        return end if len(self._pending) >= end else None
