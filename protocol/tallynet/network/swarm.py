"""The connections of one libp2p host, with py-libp2p's faults in keeping them put right.

- An inbound slot was freed only when the whole swarm stopped: after 250 connections in its lifetime a host refused
  every further one, live or not, and each left a task behind.
- An exception in a stream handler of any protocol took the host down; text that is not UTF-8 where a protocol name
  belongs was enough.
- The peer store forgot this host's own key as soon as it knew 1000 peers, and never forgot a peer without addresses.
- Plaintext, TLS and secio were offered beside noise; plaintext was accepted from whoever asked for it.
- Every dial waited 250 ms for a second connection (`max_connections_per_peer` above 1), and the automatic dialler
  connected to whomever the peer store knew.
- Slots taken by idle connections were never freed, since gossip keeps a stream on each.
- A second connection of a peer closed its first one after 20 s, with the streams on it.
"""

import logging
import math
import time
from collections import Counter
from functools import partial

import trio
from libp2p.abc import IMuxedConn, INetConn, INetStream, IRawConnection
from libp2p.crypto.keys import KeyPair
from libp2p.crypto.x25519 import create_new_key_pair as create_x25519_key_pair
from libp2p.custom_types import StreamHandlerFn, TProtocol
from libp2p.io.abc import ReadWriteCloser
from libp2p.network.auto_connector import AutoConnector
from libp2p.network.config import ConnectionConfig, RetryConfig
from libp2p.network.connection.swarm_connection import SwarmConn
from libp2p.network.exceptions import SwarmException
from libp2p.network.stream.net_stream import NetStream
from libp2p.network.swarm import Swarm
from libp2p.peer.id import ID
from libp2p.peer.peerstore import PeerStore, PeerStoreError
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as Noise
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX
from libp2p.transport.tcp.tcp import TCP
from libp2p.transport.upgrader import TransportUpgrader

from tallynet.network.addresses import Multiaddr
from tallynet.network.limits import Limits
from tallynet.network.muxer import ContainedMuxers, ContainedYamux
from tallynet.network.stream import linger

log = logging.getLogger(__name__)

CLOSE_SECONDS = 1.0
"""For saying goodbye to everybody at once."""

GRACE_SECONDS = 20.0
"""A connection younger than this may be about to carry something."""

LIBRARY_PROTOCOLS = ("/meshsub/", "/ipfs/", "/libp2p/")
"""What libp2p speaks by itself on every connection."""


class ContainedSwarm(Swarm):
    """TCP, noise and yamux, and nothing else."""

    def __init__(self, key_pair: KeyPair, limits: Limits) -> None:
        peers = _KeepingPeerStore()
        own = ID.from_pubkey(key_pair.public_key)
        peers.add_key_pair(own, key_pair)
        super().__init__(
            own,
            peers,
            _upgrader(key_pair),
            [TCP()],
            retry_config=RetryConfig(max_retries=0),
            connection_config=_configuration(limits),
        )
        self.auto_connector = _NoAutoConnector(self)
        self._limits = limits
        self._serving: Counter[ID] = Counter()
        self._making_room = trio.Lock()

    @property
    def inbound(self) -> int:
        """Inbound connections that hold a slot now."""
        return int(self._inbound_limiter.borrowed_tokens)

    def is_connected(self, peer: ID) -> bool:
        """Whether a connection to `peer` is up as far as this side knows."""
        return any(is_live(connection) for connection in self.get_connections(peer))

    async def make_room(self) -> None:
        """When no slot is free, close the oldest connections that carry nothing of ours, a tenth of all.

        libp2p's own streams do not count: it keeps one for gossip on every connection, and so never closed any.
        """
        async with self._making_room:
            if self._has_room():
                return
            idle = [connection for connection in self._connections_by_age() if not _is_busy(connection)]
            async with trio.open_nursery() as nursery:
                for connection in idle[: max(1, self._limits.inbound_connections // 10)]:
                    nursery.start_soon(self._close_connection_async, connection)

    async def drop(self, peer: ID) -> None:
        """Close every connection with a peer that is gone, its sockets first: goodbyes would wait for it."""
        for connection in self.get_connections(peer):
            if isinstance(connection.muxed_conn, ContainedYamux):
                await connection.muxed_conn.hang_up()
        await self.close_peer(peer)

    async def hang_up(self) -> None:
        """Close every connection, all at the same time: one after the other each takes 0.2 s. Never raises."""
        with trio.move_on_after(CLOSE_SECONDS, shield=True):
            async with trio.open_nursery() as nursery:
                for connection in self.get_connections():
                    nursery.start_soon(self._close_connection_async, connection)

    def set_stream_handler(self, stream_handler: StreamHandlerFn) -> None:
        super().set_stream_handler(partial(self._serve, stream_handler))

    async def add_conn(self, muxed_conn: IMuxedConn, direction: str = "unknown") -> SwarmConn:
        connection = await super().add_conn(muxed_conn, direction)
        if connection.is_closed:
            # It ended while it was being entered, and would never leave the books.
            self.remove_conn(connection)
            raise SwarmException("the connection ended at once")
        return connection

    async def upgrade_inbound_raw_conn(self, raw_conn: IRawConnection, maddr: Multiaddr) -> IMuxedConn:
        """Secure an inbound connection and stay for as long as it lives; always raises `SwarmException` then.

        The caller holds the inbound slot and would hold it until the swarm stops; an exception is what it frees
        the slot for.
        """
        muxed = await super().upgrade_inbound_raw_conn(raw_conn, maddr)
        if isinstance(muxed, ContainedYamux):
            if len(self.get_connections(muxed.peer_id)) > self._limits.connections_per_peer:
                await muxed.hang_up()
            await muxed.event_closed.wait()
        raise SwarmException("the inbound connection has ended")

    def remove_conn(self, swarm_conn: SwarmConn) -> None:
        super().remove_conn(swarm_conn)
        peer = swarm_conn.muxed_conn.peer_id
        if not self.get_connections(peer) and self.peerstore.has_peer(peer):
            # What a peer speaks is asked again when it comes back: it may be another program by then.
            self.peerstore.clear_protocol_data(peer)
            if not self._knows_addresses(peer):
                self.peerstore.clear_peerdata(peer)

    def _trim_connections(self, peer_id: ID) -> None:
        """Keep every connection of a peer: two programs with one key are honest, and streams run on both."""

    async def _handle_inbound_connection(self, read_write_closer: ReadWriteCloser, maddr: Multiaddr) -> None:
        await self.make_room()
        await super()._handle_inbound_connection(read_write_closer, maddr)

    def _knows_addresses(self, peer: ID) -> bool:
        try:
            return bool(self.peerstore.addrs(peer))
        except PeerStoreError:  # too old to be believed
            return False

    def _has_room(self) -> bool:
        most = self._limits.inbound_connections + self._limits.outbound_connections
        return self.inbound < self._limits.inbound_connections and len(self.get_connections()) < most

    def _connections_by_age(self) -> list[SwarmConn]:
        """Those older than GRACE_SECONDS, the oldest first."""
        found = [connection for connection in self.get_connections() if isinstance(connection, SwarmConn)]
        found = [connection for connection in found if time.time() - connection._created_at > GRACE_SECONDS]
        return sorted(found, key=lambda connection: connection._created_at)

    async def _serve(self, handler: StreamHandlerFn, stream: INetStream) -> None:
        """Serve one inbound stream of any protocol, ours or libp2p's; whatever goes wrong ends that stream alone."""
        peer = stream.muxed_conn.peer_id
        if self._serving[peer] >= self._limits.streams_per_peer:
            await stream.reset()
            return
        self._serving[peer] += 1
        try:
            await handler(stream)
            if isinstance(stream, NetStream):
                await linger(stream)
        except* Exception as faults:
            log.debug("a stream from %s ended: %r", peer, faults.exceptions)
            await stream.reset()
        finally:
            self._serving -= Counter([peer])


def is_live(connection: INetConn) -> bool:
    """Whether a connection is up as far as this side knows. Its own flag follows only after the muxer's."""
    muxed = connection.muxed_conn
    return not connection.is_closed and isinstance(muxed, ContainedYamux) and not muxed.event_shutting_down.is_set()


def _is_busy(connection: SwarmConn) -> bool:
    """Whether a stream of ours runs on it, or one that has not yet said what it is."""
    protocols = [stream.get_protocol() for stream in connection.get_streams()]
    return any(protocol is None or not protocol.startswith(LIBRARY_PROTOCOLS) for protocol in protocols)


class _KeepingPeerStore(PeerStore):
    def _enforce_peer_limit(self) -> None:
        """Evict peers, never ourselves: we have no address in our own store and came first in its order."""
        own = {peer: data for peer, data in self.peer_data_map.items() if data.privkey is not None}
        super()._enforce_peer_limit()
        self.peer_data_map.update(own)


class _NoAutoConnector(AutoConnector):
    """Connects to nobody by itself; whom to keep company with is for `dialling` to say."""

    async def maybe_connect(self) -> None:
        await trio.lowlevel.checkpoint()

    def record_disconnect(self, peer_id: ID) -> None:
        """Nothing to remember."""


def _upgrader(key_pair: KeyPair) -> TransportUpgrader:
    noise = Noise(key_pair, noise_privkey=create_x25519_key_pair().private_key)
    muxers = {TProtocol(YAMUX): ContainedYamux}
    upgrader = TransportUpgrader({NOISE: noise}, muxers)
    upgrader.muxer_multistream = ContainedMuxers(muxers)
    return upgrader


def _configuration(limits: Limits) -> ConnectionConfig:
    return ConnectionConfig(
        max_connections=limits.inbound_connections + limits.outbound_connections,
        min_connections=limits.outbound_connections,  # what is kept free of inbound connections
        low_watermark=limits.outbound_connections,
        high_watermark=limits.inbound_connections + limits.outbound_connections,
        max_connections_per_peer=1,
        inbound_upgrade_timeout=limits.dial_seconds,
        outbound_upgrade_timeout=limits.dial_seconds,
        # Whole seconds only; ours comes first and knows a peer that is slow from a connection that is dead.
        outbound_stream_protocol_negotiation_timeout=math.ceil(limits.dial_seconds) + 1,
        inbound_stream_protocol_negotiation_timeout=math.ceil(limits.dial_seconds),
    )
