"""Who serves which model, in a Kademlia DHT that any libp2p implementation can join.

The key of a model's provider records is the multihash of its id, as in the CIDv1 (raw, sha2-256) `b…` that other
implementations name it by. Records are announcements, nobody's proof: whoever answers a dial proves who he is.
Values are not used; strict validation refuses all but self-certifying ones, which are small.
"""

import base64
import logging
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

import trio
from libp2p.abc import INetStream
from libp2p.host.basic_host import BasicHost
from libp2p.kad_dht.common import PROTOCOL_ID
from libp2p.kad_dht.kad_dht import DHTMode, KadDHT
from libp2p.kad_dht.provider_store import ProviderStore
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from libp2p.peer.peerstore import PeerStoreError

from tallynet.network.addresses import plain
from tallynet.network.dialling import MAX_ADDRESSES
from tallynet.network.services import background, contained
from tallynet.network.transport import PeerAddress
from tallynet.protocol.units import ModelId, PeerId

log = logging.getLogger(__name__)

PROVIDE_SECONDS = 15.0
FIND_SECONDS = 10.0
ASK_SECONDS = 4.0
"""For one peer's answer: the slowest must not use up the time for all."""

MAX_FOUND = 64
MAX_KEYS = 10_000
"""Models with provider records held for others; py-libp2p sets no bound, and a key costs its announcer nothing."""

ANSWER_SECONDS = 20.0
"""Longest service of one DHT stream. Twelve silent ones would stop the DHT of a host for everybody else."""

ANNOUNCEMENTS = 8
ANNOUNCEMENT_SECONDS = 11.0
"""At most so many announcements in so long: py-libp2p resets the stream of the eleventh within ten seconds."""

IDENTIFY_SECONDS = 5.0
IDENTIFY_POLL_SECONDS = 0.05


def cid(model: ModelId) -> str:
    """The name of a model's provider records for other libp2p implementations: CIDv1, raw, sha2-256, base32."""
    return "b" + base64.b32encode(b"\x01\x55" + _key(model)).decode().lower().rstrip("=")


class Dht:
    """A server keeps records and answers; a client (a dial-only peer) only asks."""

    def __init__(self, host: BasicHost, *, server: bool) -> None:
        self._host = host
        self._kademlia = KadDHT(host, DHTMode.SERVER if server else DHTMode.CLIENT, strict_validation=True)
        self._kademlia.provider_store = _BoundedProviders(host, self._kademlia.peer_routing)
        self._announced: deque[float] = deque(maxlen=ANNOUNCEMENTS)
        self._met_somebody = trio.Event()
        if server:
            host.set_stream_handler(PROTOCOL_ID, self._answer)

    @property
    def peers(self) -> int:
        """Peers in the routing table."""
        return self._kademlia.get_routing_table_size()

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        async with background(self._kademlia), trio.open_nursery() as nursery:
            nursery.start_soon(contained(self._look_around))
            try:
                yield
            finally:
                nursery.cancel_scope.cancel()

    async def meet(self, peer: ID) -> None:
        """Take a newly connected peer into the routing table if it serves the DHT; nothing else does so for us."""
        if await self._is_server(peer) and await self._kademlia.add_peer(peer):
            self._met_somebody.set()

    async def provide(self, model: ModelId) -> None:
        """Announce at the peers nearest to the key, in at most PROVIDE_SECONDS; waits when called too often."""
        if len(self._announced) == ANNOUNCEMENTS:
            await trio.sleep_until(self._announced[0] + ANNOUNCEMENT_SECONDS)
        self._announced.append(trio.current_time())
        with trio.move_on_after(PROVIDE_SECONDS) as patience:
            if not await self._kademlia.provider_store.provide(_key(model)):
                log.debug("nobody to announce %s to", cid(model))
        # The library would repeat it for ever, also for a model that is served no more; repeating is our caller's.
        self._kademlia.provider_store.providing_keys.discard(_key(model))
        if patience.cancelled_caught:
            log.debug("announcing %s was not done in %g s", cid(model), PROVIDE_SECONDS)

    async def providers(self, model: ModelId) -> Sequence[PeerAddress]:
        """What the peers nearest to the key know, and what we know ourselves, after FIND_SECONDS at most.

        py-libp2p's own search stops at the first local record, hence would never see a node that came later.
        """
        key = _key(model)
        found: list[PeerInfo] = self._kademlia.provider_store.get_providers(key)
        with trio.move_on_after(FIND_SECONDS):
            nearest = await self._kademlia.peer_routing.find_closest_peers_network(key)
            async with trio.open_nursery() as nursery:
                for peer in nearest:
                    nursery.start_soon(self._ask, peer, key, found)
        return self._addresses(found)

    async def _look_around(self) -> None:
        """Fill the routing table once there is somebody to ask; the library looked at its start, and will in ten
        minutes again."""
        await self._met_somebody.wait()
        await self._kademlia.refresh_routing_table()

    async def _ask(self, peer: ID, key: bytes, found: list[PeerInfo]) -> None:
        if peer != self._host.get_id():
            with trio.move_on_after(ASK_SECONDS):
                told, _ = await self._kademlia.provider_store._get_providers_from_peer_with_closers(peer, key)
                found += told[:MAX_FOUND]

    def _addresses(self, found: Iterable[PeerInfo]) -> Sequence[PeerAddress]:
        merged: dict[ID, dict[str, None]] = {}
        for info in found:
            merged.setdefault(info.peer_id, {}).update(dict.fromkeys(plain(address) for address in info.addrs))
        merged.pop(self._host.get_id(), None)
        return [
            PeerAddress(PeerId(peer.to_base58()), tuple(addresses)[:MAX_ADDRESSES])
            for peer, addresses in list(merged.items())[:MAX_FOUND]
        ]

    async def _answer(self, stream: INetStream) -> None:
        with trio.move_on_after(ANSWER_SECONDS):
            await self._kademlia.handle_stream(stream)

    async def _is_server(self, peer: ID) -> bool:
        """Whether the peer says that it serves the DHT. The library asks it in a task of its own and tells nobody."""
        with trio.move_on_after(IDENTIFY_SECONDS):
            while not self._speaks(peer) and self._host.is_peer_connected(peer):
                await trio.sleep(IDENTIFY_POLL_SECONDS)
        return PROTOCOL_ID in self._speaks(peer)

    def _speaks(self, peer: ID) -> list[str]:
        try:
            return self._host.get_peerstore().get_protocols(peer)
        except PeerStoreError:  # gone again, or not heard of yet
            return []


class _BoundedProviders(ProviderStore):
    def add_provider(self, key: bytes, provider: PeerInfo) -> None:
        """Keep the keys announced last: a flood passes, and then honest announcements come again."""
        self.providers[key] = self.providers.pop(key, {})
        super().add_provider(key, provider)
        while len(self.providers) > MAX_KEYS:
            del self.providers[next(iter(self.providers))]


def _key(model: ModelId) -> bytes:
    """The multihash of a model id: sha2-256, 32 bytes."""
    return b"\x12\x20" + model
