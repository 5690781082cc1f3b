"""A libp2p stream as this package promises it: exact reads, and an end that is told from a loss."""

import logging
from collections.abc import Callable
from types import TracebackType
from typing import Self

import trio
from libp2p.network.stream.exceptions import StreamEOF, StreamError
from libp2p.network.stream.net_stream import NetStream
from libp2p.stream_muxer.yamux.yamux import YamuxStream

from tallynet.network.transport import EndOfStream
from tallynet.protocol.errors import NodeUnreachable
from tallynet.protocol.units import PeerId

log = logging.getLogger(__name__)

READ_BYTES = 64 * 1024
LINGER_SECONDS = 5.0
"""How long a finished stream waits for the peer to finish too before it is reset."""

ABORT_SECONDS = 1.0


class Libp2pStream:
    """One stream. `release` is called when the block of `async with` was left well, to `linger` elsewhere."""

    def __init__(self, stream: NetStream, release: Callable[[], None] | None = None) -> None:
        self._stream = stream
        self._release = release
        self._remote = PeerId(stream.muxed_conn.peer_id.to_base58())
        self._unread = bytearray()
        self._finished = False

    @property
    def remote(self) -> PeerId:
        return self._remote

    async def send(self, data: bytes) -> None:
        if self._finished:
            raise RuntimeError("send() after finish()")
        try:
            await self._stream.write(bytes(data))
        except StreamError as error:
            raise NodeUnreachable(f"peer {self._remote} broke off the stream or reads nothing.") from error

    async def receive(self, count: int) -> bytes:
        while len(self._unread) < count:
            try:
                self._unread += await self._stream.read(READ_BYTES)
            except StreamEOF as error:
                if not _ended_well(self._stream):
                    raise NodeUnreachable(f"peer {self._remote} is gone.") from error
                if self._unread:
                    raise NodeUnreachable(
                        f"peer {self._remote} ended the stream after {len(self._unread)} of {count} bytes."
                    ) from error
                raise EndOfStream from error
            except StreamError as error:
                raise NodeUnreachable(f"peer {self._remote} broke off the stream.") from error
        taken = bytes(self._unread[:count])
        del self._unread[:count]
        return taken

    async def finish(self) -> None:
        self._finished = True
        try:
            await self._stream.close_write()
        except Exception as error:
            log.debug("finishing a stream with %s: %r", self._remote, error)

    async def abort(self) -> None:
        with trio.move_on_after(ABORT_SECONDS, shield=True):
            try:
                await self._stream.reset()
            except Exception as error:
                log.debug("aborting a stream with %s: %r", self._remote, error)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            await self.abort()
            return
        try:
            await self.finish()
        except trio.Cancelled:
            await self.abort()
            raise
        if self._release is not None:
            self._release()


async def linger(stream: NetStream) -> None:
    """Finish a stream and free it: when the peer finishes too, and by a reset after LINGER_SECONDS.

    What still arrives is thrown away. An unfinished stream would stay in yamux's books as long as the connection;
    a reset at once would take from the peer what it has not read yet. Raises nothing but cancellation.
    """
    try:
        with trio.move_on_after(LINGER_SECONDS):
            await stream.close_write()
            while True:
                await stream.read(READ_BYTES)
    except Exception as error:
        log.debug("a stream with %s has ended: %r", stream.muxed_conn.peer_id, error)
        if isinstance(error, StreamEOF):
            await stream.close()
            return
    await stream.reset()


def _ended_well(stream: NetStream) -> bool:
    """Whether an end of file is the peer's own doing. py-libp2p reports a lost connection by the same exception."""
    muxed = stream.muxed_stream
    return (
        isinstance(muxed, YamuxStream)
        and muxed.recv_closed
        and not muxed.reset_received
        and not muxed.conn.event_shutting_down.is_set()
    )
