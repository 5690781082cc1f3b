"""yamux, which carries all streams with one peer over one connection, with what py-libp2p's lacks.

- A frame that has begun is written to its end. A task cancelled halfway through left a half-written frame behind, and
  with it every stream of the connection was lost; the stream cipher's counter was out of step even before that.
- A peer that takes no frame for WRITE_SECONDS, or answers no ping for PING_SECONDS, is gone: the connection is closed
  and with it its streams. A stopped process or a lost route was never noticed (75 s tried).
- A peer that sends past the windows it was given is cut off at MAX_BUFFERED_BYTES: the windows were counted, not
  enforced, and one unread stream could fill the memory.
- Frames that wait for each other leave together, as one encrypted message: each used to cost the network a write and
  the peer a wake.
- A window is given back once half of it was read, as go-yamux does; it was given back after every read, so that each
  chunk of an answer was paid for with a message the other way.
"""

import logging
import struct
from dataclasses import dataclass, field

import libp2p.stream_muxer.yamux.yamux as yamux
import trio
from libp2p.abc import IMuxedConn, ISecureConn
from libp2p.io.exceptions import ConnectionClosedError
from libp2p.peer.id import ID
from libp2p.stream_muxer.muxer_multistream import MuxerMultistream
from libp2p.stream_muxer.yamux.yamux import Yamux, YamuxStream

log = logging.getLogger(__name__)

WRITE_SECONDS = 10.0
"""Longest wait for one frame (at most 64 KiB) to be taken by the network."""

LEAST_WRITE_SECONDS = 1.0
"""What a frame gets even when its writer is cancelled already."""

KEEPALIVE_SECONDS = 15.0
PING_SECONDS = 20.0
"""More than a busy Python peer is ever silent for."""

MAX_WINDOW_BYTES = 1024 * 1024
"""Largest window of one stream; py-libp2p lets it grow to 16 MiB, which 64 stalled streams turn into 1 GiB."""

MAX_BUFFERED_BYTES = 32 * 1024 * 1024
"""Most unread data of one connection."""

MAX_JOINED_BYTES = 60 * 1024
"""Most bytes of frames that leave together: with room to spare in one noise message (65,519 bytes)."""


def contain_windows() -> None:
    """Let stream windows grow to MAX_WINDOW_BYTES only, and give them back by halves. Idempotent."""
    yamux.MAX_WINDOW_SIZE = MAX_WINDOW_BYTES
    vars(yamux)["YamuxStream"] = PatientStream


class PatientStream(YamuxStream):
    """Gives its window back by halves."""

    async def _auto_tune_and_send_window_update(self, *, bytes_read: int = 0) -> None:
        buffered = len(self.conn.stream_buffers.get(self.stream_id, b""))
        if self.recv_window + buffered <= self.target_recv_window // 2:
            await super()._auto_tune_and_send_window_update(bytes_read=bytes_read)


@dataclass(eq=False)
class _Joined:
    """Frames that leave together; whoever brought the first of them writes them all."""

    frames: list[bytes] = field(default_factory=list)
    size: int = 0
    """Bytes."""
    written: bool = False
    ended: trio.Event = field(default_factory=trio.Event)
    """Written, or never will be."""

    def add(self, frame: bytes) -> None:
        self.frames.append(frame)
        self.size += len(frame)


class ContainedYamux(Yamux):
    def __init__(self, conn: ISecureConn, peer_id: ID, *, is_initiator: bool) -> None:
        super().__init__(conn, peer_id, is_initiator=is_initiator)
        self._turn = trio.Lock()
        self._joined: _Joined | None = None
        """Waits for its turn, and takes more frames until then."""

    async def answers(self, seconds: float) -> bool:
        """Whether the peer's own loop answers a ping within `seconds`. Safe to call from several tasks."""
        if self._ping_event.is_set():
            self._ping_event = trio.Event()
        pong = self._ping_event
        with trio.move_on_after(seconds):
            try:
                await self._ping()
            except Exception as error:
                log.debug("pinging %s: %r", self.peer_id, error)
                return False
            await pong.wait()
        return pong.is_set()

    async def hang_up(self) -> None:
        """Close the socket; the reading task then breaks every stream. Never raises."""
        try:
            await self.secured_conn.close()
        except Exception as error:
            log.debug("closing the connection to %s: %r", self.peer_id, error)

    async def _write_frame(self, data: bytes) -> None:
        """Write one frame or close the connection; cancellation waits LEAST_WRITE_SECONDS for it at most."""
        left = trio.current_effective_deadline() - trio.current_time()
        with trio.move_on_after(min(WRITE_SECONDS, max(LEAST_WRITE_SECONDS, left)), shield=True):
            await self._join(data)
            return
        await self.hang_up()
        raise ConnectionClosedError(f"peer {self.peer_id} takes no data")

    async def _join(self, frame: bytes) -> None:
        """Write one frame, with others or for them."""
        joined = self._joined
        if joined is not None and joined.size + len(frame) <= MAX_JOINED_BYTES:
            joined.add(frame)
            await joined.ended.wait()
            if not joined.written:
                raise ConnectionClosedError(f"the connection to peer {self.peer_id} broke")
            return
        joined = self._joined = _Joined()
        joined.add(frame)
        await self._write_joined(joined)

    async def _write_joined(self, joined: _Joined) -> None:
        """In the order in which the first frames came; waiting for the turn lets others bring theirs."""
        try:
            async with self._turn:
                self._close(joined)
                await self.secured_conn.write(b"".join(joined.frames))
                joined.written = True
        finally:
            self._close(joined)
            joined.ended.set()

    def _close(self, joined: _Joined) -> None:
        """It takes no more frames."""
        if self._joined is joined:
            self._joined = None

    async def _read_data_body(self, length: int) -> bytes:
        if sum(map(len, self.stream_buffers.values())) + length > MAX_BUFFERED_BYTES:
            await self.hang_up()
        return await super()._read_data_body(length)

    async def _measure_rtt_loop(self) -> None:
        """Ping for as long as the connection lives; started by yamux, which uses the round trip for its windows."""
        await trio.sleep(0.5)
        while not self.event_shutting_down.is_set():
            if not await self.answers(PING_SECONDS):
                log.debug("peer %s is silent: hanging up", self.peer_id)
                await self.hang_up()
                return
            with trio.move_on_after(KEEPALIVE_SECONDS):
                await self.event_shutting_down.wait()

    async def _ping(self) -> None:
        self._ping_id = (self._ping_id + 1) % 2**32
        await self._write_frame(
            struct.pack(yamux.YAMUX_HEADER_FORMAT, 0, yamux.TYPE_PING, yamux.FLAG_SYN, 0, self._ping_id)
        )
        self._ping_sent_time = trio.current_time()


class ContainedMuxers(MuxerMultistream):
    """Negotiates yamux and runs ours: the original names its own class."""

    async def new_conn(self, conn: ISecureConn, peer_id: ID) -> IMuxedConn:
        protocol, _ = await self._selector.select(conn, conn.is_initiator, self.negotiate_timeout)
        return self._annotate_connection(ContainedYamux(conn, peer_id, is_initiator=conn.is_initiator), conn, protocol)
