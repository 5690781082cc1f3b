"""Cheats, outside of the product: a transport that changes what an honest node sends, after it was signed.

The node behind it runs the ordinary code and does not know. A `Cheat` names itself and says what becomes of each
frame; whoever wants another kind of cheat writes one more function.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import msgspec

from tallynet.network.frames import FROM_NODE
from tallynet.network.transport import Handler, PeerAddress, Stream, Transport
from tallynet.protocol.chunk import ChunkBody
from tallynet.protocol.units import ModelId, PeerId
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


class TamperingTransport:
    """A node's transport with a cheat on its way out. Everything but the answers to jobs passes untouched."""

    def __init__(self, honest: Transport, cheat: Cheat) -> None:
        self._honest = honest
        self._cheat = cheat

    @property
    def peer(self) -> PeerId:
        return self._honest.peer

    @property
    def addresses(self) -> tuple[str, ...]:
        return self._honest.addresses

    def run(self) -> AbstractAsyncContextManager[None]:
        return self._honest.run()

    def serve(self, protocol: str, handler: Handler) -> None:
        self._honest.serve(protocol, self._tampered(handler) if protocol == JOB_PROTOCOL else handler)

    async def open(self, to: PeerAddress, protocol: str) -> Stream:
        return await self._honest.open(to, protocol)

    async def provide(self, model: ModelId) -> None:
        await self._honest.provide(model)

    async def providers(self, model: ModelId) -> Sequence[PeerAddress]:
        return await self._honest.providers(model)

    async def publish(self, topic: str, data: bytes) -> None:
        await self._honest.publish(topic, data)

    def subscribe(self, topic: str) -> AbstractAsyncContextManager[AsyncIterator[tuple[PeerId, bytes]]]:
        return self._honest.subscribe(topic)

    def _tampered(self, handler: Handler) -> Callable[[Stream], Awaitable[None]]:
        async def serve(stream: Stream) -> None:
            await handler(TamperingStream(stream, self._cheat.alter))

        return serve


class TamperingStream:
    """A stream whose outgoing frames are changed. Frames may be written in any number of pieces."""

    def __init__(self, honest: Stream, alter: Alter) -> None:
        self._honest = honest
        self._alter = alter
        self._pending = b""

    @property
    def remote(self) -> PeerId:
        return self._honest.remote

    async def send(self, data: bytes) -> None:
        self._pending += data
        while (end := self._end_of_frame()) is not None:
            frame, self._pending = self._pending[:end], self._pending[end:]
            await self._honest.send(encode_frame(self._alter(FROM_NODE.decode(frame[HEADER_BYTES:]))))

    async def receive(self, count: int) -> bytes:
        return await self._honest.receive(count)

    async def finish(self) -> None:
        await self._honest.finish()

    async def abort(self) -> None:
        await self._honest.abort()

    async def __aenter__(self) -> Self:
        await self._honest.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._honest.__aexit__(kind, error, trace)

    def _end_of_frame(self) -> int | None:
        """Where the first whole frame of what was written ends, if it is whole."""
        if len(self._pending) < HEADER_BYTES:
            return None
        end = HEADER_BYTES + decode_length(self._pending[:HEADER_BYTES])
        return end if len(self._pending) >= end else None
