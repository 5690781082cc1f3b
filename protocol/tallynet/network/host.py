"""One peer on the real network: py-libp2p behind the interface of `transport`.

TCP, noise and yamux; the node's secp256k1 key is its libp2p identity; Kademlia tells who serves what, GossipSub
spreads adverts. Not covered: NAT traversal (a node needs an address that others can dial, see `announce`), and a
flood of connections from many addresses with many keys, which is for a firewall to stop.
"""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from libp2p.peer.id import ID

from tallynet.network import addresses
from tallynet.network.addresses import Multiaddr
from tallynet.network.dht import Dht
from tallynet.network.house import House, Plan, opened
from tallynet.network.limits import Limits
from tallynet.network.muxer import contain_windows
from tallynet.network.quiet import quieten
from tallynet.network.stream import Libp2pStream, linger
from tallynet.network.transport import Handler, PeerAddress, Stream
from tallynet.protocol.errors import Misconfigured, NodeUnreachable
from tallynet.protocol.keys import Key
from tallynet.protocol.units import ModelId, PeerId

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HostStatistics:
    """What one host is busy with at a moment."""

    peers: int
    """Connected peers."""

    inbound: int
    """Inbound connections, each holding one of `Limits.inbound_connections` slots."""

    dht_peers: int
    """Peers in the routing table; a node with none is found by nobody."""

    gossip_peers: int
    """Peers that exchange gossip with us."""


class Libp2pTransport:
    """A `Transport` over py-libp2p. With `listen` it serves others and the DHT; without, it only dials."""

    def __init__(
        self,
        key: Key,
        *,
        listen: Sequence[str] = ("/ip4/127.0.0.1/tcp/0",),
        announce: Sequence[str] = (),
        bootstrap: Sequence[PeerAddress] = (),
        dht: bool = True,
        limits: Limits | None = None,
    ) -> None:
        """Nothing happens before `run`. Raises `Misconfigured` for an address that is none.

        `announce` replaces the addresses that others are told, for a node behind a forwarded port; `bootstrap`
        are the peers to begin with. Without `dht` this peer neither announces nor finds providers.
        """
        self._plan = Plan(
            key=key,
            listen=[addresses.parse(text) for text in dict.fromkeys(listen)],
            announce=[addresses.parse(text) for text in announce],
            bootstrap={_peer(known): _dialable(known) for known in bootstrap},
            dht=dht,
            limits=limits or Limits(),
        )
        self._handlers: dict[str, Handler] = {}
        self._house: House | None = None

    @property
    def peer(self) -> PeerId:
        return self._plan.key.peer_id

    @property
    def addresses(self) -> tuple[str, ...]:
        return () if self._house is None else tuple(map(addresses.plain, self._house.advertised))

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Listen, meet the bootstrap peers (for some `Limits.dial_seconds` at most), keep house; leave in about 1 s.

        Raises `Misconfigured` when an address cannot be listened on. What the block raises comes out as it is, not
        wrapped in a group.
        """
        quieten()
        contain_windows()
        failure: BaseException | None = None
        async with opened(self._plan, self._handlers) as self._house:
            try:
                await self._house.listen()
                await self._house.keep_company()
                yield
            except BaseException as error:
                failure = error
            self._house = None
        if failure is not None:
            raise failure

    def serve(self, protocol: str, handler: Handler) -> None:
        self._handlers[protocol] = handler
        if self._house is not None:
            self._house.serve(protocol, handler)

    async def open(self, to: PeerAddress, protocol: str) -> Stream:
        house = self._running()
        stream = await house.dialler.open(_peer(to), _dialable(to), protocol)
        return Libp2pStream(stream, release=lambda: house.start(partial(linger, stream)))

    async def provide(self, model: ModelId) -> None:
        await self._dht().provide(model)

    async def providers(self, model: ModelId) -> Sequence[PeerAddress]:
        return await self._dht().providers(model)

    async def publish(self, topic: str, data: bytes) -> None:
        await self._running().gossip.publish(topic, data)

    @asynccontextmanager
    async def subscribe(self, topic: str) -> AsyncIterator[AsyncIterator[tuple[PeerId, bytes]]]:
        async with self._running().gossip.subscribe(topic) as inbox:
            yield inbox

    def statistics(self) -> HostStatistics:
        house = self._running()
        return HostStatistics(
            peers=len(house.swarm.connections),
            inbound=house.swarm.inbound,
            dht_peers=0 if house.dht is None else house.dht.peers,
            gossip_peers=house.gossip.peers,
        )

    def _running(self) -> House:
        if self._house is None:
            raise RuntimeError("the transport is used outside its run() block")
        return self._house

    def _dht(self) -> Dht:
        dht = self._running().dht
        if dht is None:
            raise Misconfigured("This peer was started without the DHT.", remedy="Start it with dht=True.")
        return dht


def _peer(known: PeerAddress) -> ID:
    try:
        return ID.from_base58(known.peer)
    except ValueError as error:
        raise NodeUnreachable(f"{known.peer[:80]!r} is no libp2p peer id.") from error


def _dialable(known: PeerAddress) -> Sequence[Multiaddr]:
    """The addresses that libp2p can dial. Others come from strangers, or from another kind of network."""
    found: list[Multiaddr] = []
    for text in known.addresses:
        try:
            found.append(addresses.parse(text))
        except Misconfigured as error:
            log.debug("peer %s: %s", known.peer, error)
    return found
