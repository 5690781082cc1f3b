"""Streams between two memory transports: bytes in order, half close, abort, and a window that fills up."""

from types import TracebackType
from typing import Self

import trio

from tallynet.network.transport import STALL_SECONDS, WINDOW_BYTES, EndOfStream
from tallynet.protocol.errors import NodeUnreachable
from tallynet.protocol.units import PeerId


def connect(caller: PeerId, called: PeerId) -> "tuple[MemoryStream, MemoryStream]":
    """Both ends of a new stream: the caller's and the called one's."""
    forth, back = _Pipe(), _Pipe()
    return MemoryStream(called, incoming=back, outgoing=forth), MemoryStream(caller, incoming=forth, outgoing=back)


class MemoryStream:
    """One end of a stream."""

    def __init__(self, remote: PeerId, *, incoming: "_Pipe", outgoing: "_Pipe") -> None:
        self._remote = remote
        self._incoming = incoming
        self._outgoing = outgoing

    @property
    def remote(self) -> PeerId:
        return self._remote

    async def send(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        if self._outgoing.finished:
            raise RuntimeError("send() after finish()")
        try:
            await self._outgoing.write(memoryview(data))
        except _Broken as error:
            self.break_off()
            raise NodeUnreachable(f"peer {self._remote} {error}.") from None

    async def receive(self, count: int) -> bytes:
        await trio.lowlevel.checkpoint()
        try:
            return await self._incoming.read(count)
        except _Broken as error:
            raise NodeUnreachable(f"peer {self._remote} {error}.") from None

    async def finish(self) -> None:
        await trio.lowlevel.checkpoint()
        self._outgoing.finish()

    async def abort(self) -> None:
        self.break_off()

    def break_off(self) -> None:
        self._incoming.break_off()
        self._outgoing.break_off()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            await self.finish()
        else:
            await self.abort()


class _Broken(Exception):
    """A pipe broke; the text completes "peer X …"."""


class _Pipe:
    """One direction of a stream, at most WINDOW_BYTES unread. Counted in bytes, like yamux: a memory channel would
    count messages and stall a stream of small ones that libp2p carries easily."""

    def __init__(self) -> None:
        self._unread = bytearray()
        self._broken = False
        self._changed = trio.Event()
        self.finished = False

    async def write(self, data: memoryview) -> None:
        while data:
            while not self._broken and len(self._unread) == WINDOW_BYTES:
                with trio.move_on_after(STALL_SECONDS) as patience:
                    await self._changed.wait()
                if patience.cancelled_caught:
                    raise _Broken(f"read nothing for {STALL_SECONDS:g} s")
            if self._broken:
                raise _Broken("broke off the stream")
            room = WINDOW_BYTES - len(self._unread)
            self._unread += data[:room]
            data = data[room:]
            self._announce()

    async def read(self, count: int) -> bytes:
        taken = bytearray()
        while len(taken) < count:
            while not (self._unread or self._broken or self.finished):
                await self._changed.wait()
            if self._broken:
                raise _Broken("broke off the stream")
            if not self._unread:
                if taken:
                    raise _Broken(f"ended the stream after {len(taken)} of {count} bytes")
                raise EndOfStream
            part = self._unread[: count - len(taken)]
            del self._unread[: len(part)]
            taken += part
            self._announce()
        return bytes(taken)

    def finish(self) -> None:
        self.finished = True
        self._announce()

    def break_off(self) -> None:
        self._broken = True
        self._announce()

    def _announce(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
