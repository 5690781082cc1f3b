"""Reaching a peer: connect if need be, notice a connection that only looks alive, open a stream, say why not.

Addresses are dialled one by one here: py-libp2p's own `dial_peer` tries one TCP address of a peer, prefers any to a
loopback one, and after a failure refuses the peer for 60 s, whatever address comes along.
"""

import logging
from collections.abc import Iterable, Sequence
from weakref import WeakValueDictionary

import trio
from libp2p.custom_types import TProtocol
from libp2p.host.basic_host import BasicHost
from libp2p.host.exceptions import StreamFailure
from libp2p.network.exceptions import SwarmException
from libp2p.network.stream.net_stream import NetStream
from libp2p.peer.id import ID
from libp2p.peer.peerstore import PeerStoreError

from tallynet.network.addresses import Multiaddr, plain
from tallynet.network.limits import Limits
from tallynet.network.muxer import ContainedYamux
from tallynet.network.swarm import ContainedSwarm
from tallynet.protocol.errors import NodeUnreachable

log = logging.getLogger(__name__)

STAGGER_SECONDS = 0.25
"""Head start of one address over the next. Source: RFC 8305."""

MAX_ADDRESSES = 8
"""Addresses of one peer that are tried; a liar in the DHT can name any number."""

ADDRESS_SECONDS = 3600
"""How long an address that worked is remembered."""

ALIVE_SECONDS = 1.0
"""For a ping over a connection on which a stream did not open in time."""


class Dialler:
    def __init__(self, host: BasicHost, swarm: ContainedSwarm, limits: Limits) -> None:
        self._host = host
        self._swarm = swarm
        self._limits = limits
        self._locks: WeakValueDictionary[ID, trio.Lock] = WeakValueDictionary()

    async def open(self, peer: ID, addresses: Sequence[Multiaddr], protocol: str) -> NetStream:
        """Open a stream within `limits.open_seconds`; raises `NodeUnreachable`.

        A connection that turns out to be dead, because the peer restarted or hangs, is dropped and dialled anew, once.
        """
        with trio.move_on_after(self._limits.open_seconds):
            for attempt in (1, 2):
                await self.connect(peer, addresses)
                try:
                    return await self._negotiate(peer, protocol)
                except _Dead as error:
                    log.debug("attempt %d to open %s to %s: %s", attempt, protocol, peer, error)
                    await self._swarm.drop(peer)
            raise NodeUnreachable(f"peer {peer} accepts connections and loses them.")
        raise NodeUnreachable(f"peer {peer} did not open a stream in {self._limits.open_seconds:g} s.")

    async def connect(self, peer: ID, addresses: Sequence[Multiaddr]) -> None:
        """See to it that a connection is up, within `limits.dial_seconds`; raises `NodeUnreachable`."""
        lock = self._locks.setdefault(peer, trio.Lock())
        async with lock:
            if not self._swarm.is_connected(peer):
                await self._dial(peer, self._candidates(peer, addresses))

    async def _dial(self, peer: ID, candidates: Sequence[Multiaddr]) -> None:
        failures: list[str] = []
        with trio.move_on_after(self._limits.dial_seconds):
            await self._swarm.make_room()
            async with trio.open_nursery() as nursery:
                for address in candidates:
                    failed = trio.Event()
                    nursery.start_soon(self._try, peer, address, failures, failed, nursery.cancel_scope)
                    with trio.move_on_after(STAGGER_SECONDS):
                        await failed.wait()
        if not self._swarm.is_connected(peer):
            reasons = "; ".join(failures) or f"no answer in {self._limits.dial_seconds:g} s"
            raise NodeUnreachable(f"peer {peer} cannot be reached: {reasons}.")

    async def _try(
        self, peer: ID, address: Multiaddr, failures: list[str], failed: trio.Event, others: trio.CancelScope
    ) -> None:
        try:
            await self._swarm.dial_addr(address, peer)
        except SwarmException as error:
            failures.append(f"{plain(address)}: {_failure(error)}")
            failed.set()
        else:
            self._host.get_peerstore().add_addrs(peer, [address], ADDRESS_SECONDS)
            others.cancel()

    def _candidates(self, peer: ID, addresses: Iterable[Multiaddr]) -> list[Multiaddr]:
        """What the caller knows first, then what the peer or others said."""
        if peer == self._swarm.get_peer_id():
            raise NodeUnreachable(f"peer {peer} is this peer itself.")
        try:
            remembered = self._host.get_peerstore().addrs(peer)
        except PeerStoreError:  # never heard of, or too long ago
            remembered = []
        found = {plain(address): address for address in (*addresses, *remembered)}
        if not found:
            raise NodeUnreachable(f"no address of peer {peer} is known, and it has not connected to us.")
        return list(found.values())[:MAX_ADDRESSES]

    async def _negotiate(self, peer: ID, protocol: str) -> NetStream:
        with trio.move_on_after(self._limits.dial_seconds):
            try:
                return _net_stream(await self._host.new_stream(peer, [TProtocol(protocol)]))
            except (StreamFailure, SwarmException, ValueError) as error:
                # ValueError: the peer answered with bytes that are no UTF-8.
                if not self._swarm.is_connected(peer):
                    raise _Dead(_reason(error)) from error
                raise NodeUnreachable(_refusal(peer, protocol, error)) from error
        if await self._is_alive(peer):
            raise NodeUnreachable(
                f"peer {peer} is there but opened no stream of {protocol} in {self._limits.dial_seconds:g} s."
            )
        raise _Dead("no answer")

    async def _is_alive(self, peer: ID) -> bool:
        """Whether any connection with `peer` answers. One that carries other streams is not dropped on suspicion."""
        for connection in self._swarm.get_connections(peer):
            muxed = connection.muxed_conn
            if isinstance(muxed, ContainedYamux) and await muxed.answers(ALIVE_SECONDS):
                return True
        return False


class _Dead(Exception):
    """The connection is no connection any more."""


def _net_stream(stream: object) -> NetStream:
    if not isinstance(stream, NetStream):
        raise TypeError(f"libp2p opened a {type(stream).__name__}")
    return stream


def _failure(error: SwarmException) -> str:
    """Why a dial failed; a peer other than the one asked for is named."""
    reason = _reason(error)
    _, found, other = reason.partition("remote_peer_id_from_pubkey=")
    return f"peer {other} answers there" if found else reason


def _refusal(peer: ID, protocol: str, error: Exception) -> str:
    reason = _reason(error)
    if "not supported" in reason:
        return f"peer {peer} does not speak {protocol}."
    return f"peer {peer} refused a stream of {protocol}: {reason}."


def _reason(error: BaseException) -> str:
    """The innermost cause that says something: the outer ones only say that it failed."""
    said = str(error)
    while inner := error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error.__cause__:
        error = inner
        said = str(error) or said
    return said.rstrip(".") or type(error).__name__
