"""yamux, which carries all streams with one peer over one connection, with what py-libp2p's lacks.

- A frame that has begun is written to its end. A task cancelled halfway through left a half-written frame behind, and
  with it every stream of the connection was lost; the stream cipher's counter was out of step even before that.
- A peer that takes no frame for WRITE_SECONDS, or answers no ping for PING_SECONDS, is gone: the connection is closed
  and with it its streams. A stopped process or a lost route was never noticed (75 s tried).
- A peer that sends past the windows it was given is cut off at MAX_BUFFERED_BYTES: the windows were counted, not
  enforced, and one unread stream could fill the memory.
"""

import logging
import struct

import libp2p.stream_muxer.yamux.yamux as yamux
import trio
from libp2p.abc import IMuxedConn, ISecureConn
from libp2p.io.exceptions import ConnectionClosedError
from libp2p.peer.id import ID
from libp2p.stream_muxer.muxer_multistream import MuxerMultistream
from libp2p.stream_muxer.yamux.yamux import Yamux

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


def narrow_windows() -> None:
    """Let stream windows grow to MAX_WINDOW_BYTES only. Idempotent."""
    yamux.MAX_WINDOW_SIZE = MAX_WINDOW_BYTES


class ContainedYamux(Yamux):
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
            return await super()._write_frame(data)
        await self.hang_up()
        raise ConnectionClosedError(f"peer {self.peer_id} takes no data")

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
