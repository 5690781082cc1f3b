"""What exists while a libp2p transport runs: swarm, dialler, DHT and gossip, and the tasks that keep them company."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from functools import partial

import trio
from libp2p.abc import INetConn, INetStream, INetwork, INotifee
from libp2p.crypto.secp256k1 import create_new_key_pair
from libp2p.custom_types import TProtocol
from libp2p.host.basic_host import BasicHost
from libp2p.network.stream.net_stream import NetStream
from libp2p.peer.id import ID

from tallynet.network.addresses import Multiaddr, check_free, concrete
from tallynet.network.dht import Dht
from tallynet.network.dialling import Dialler
from tallynet.network.gossip import Gossip
from tallynet.network.limits import Limits
from tallynet.network.services import background, contained
from tallynet.network.serving import answer
from tallynet.network.stream import Libp2pStream
from tallynet.network.swarm import ContainedSwarm
from tallynet.network.transport import Handler
from tallynet.protocol.errors import Misconfigured, NodeUnreachable
from tallynet.protocol.keys import Key

log = logging.getLogger(__name__)

COMPANY_PEERS = 3
"""Connected peers below which the bootstrap peers are dialled again."""

COMPANY_SECONDS = 15.0
"""Between two looks at how lonely we are."""

LEAVE_SECONDS = 1.0
"""For closing listeners and services once every connection is closed."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a transport wants of its house."""

    key: Key
    listen: Sequence[Multiaddr]
    announce: Sequence[Multiaddr]
    """Told to others in place of the addresses listened on, if any."""
    bootstrap: Mapping[ID, Sequence[Multiaddr]]
    dht: bool
    limits: Limits


class House:
    """A running host. Made by `opened`, which also takes it down."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.advertised: tuple[Multiaddr, ...] = ()
        self.swarm = ContainedSwarm(create_new_key_pair(plan.key.secret), plan.limits)
        self._host = BasicHost(
            self.swarm, addrs_factory=lambda _: list(self.advertised), disable_identify_address_discovery=True
        )
        self.dialler = Dialler(self._host, self.swarm, plan.limits)
        self.gossip = Gossip(self._host)
        self.dht = Dht(self._host, server=bool(plan.listen)) if plan.dht else None
        self._tasks: trio.Nursery | None = None

    def serve(self, protocol: str, handler: Handler) -> None:
        async def take(stream: INetStream) -> None:
            if not isinstance(stream, NetStream):
                raise TypeError(f"libp2p accepted a {type(stream).__name__}")
            await answer(handler, Libp2pStream(stream), protocol)

        self._host.set_stream_handler(TProtocol(protocol), take)

    async def listen(self) -> None:
        """Raises `Misconfigured` unless every address can be listened on."""
        for address in self._plan.listen:
            check_free(address)
        await self.swarm.listen(*self._plan.listen)
        found = self._host.get_transport_addrs()
        if len(found) < len(self._plan.listen):
            wanted = ", ".join(map(str, self._plan.listen))
            raise Misconfigured(f"Cannot listen on every one of {wanted}.")
        self.advertised = tuple(self._plan.announce or concrete(found))

    async def keep_company(self) -> None:
        """Meet the bootstrap peers, and look after them in the background from then on."""
        await self._meet_bootstrap()
        self.start(self._look_after_company)

    def start(self, task: Callable[[], Awaitable[None]]) -> None:
        """Run a task in the background, its errors logged; a closed house has nothing left to do and ignores it."""
        if self._tasks is not None:
            self._tasks.start_soon(contained(task))

    @asynccontextmanager
    async def _services(self) -> AsyncIterator[None]:
        async with (
            self.gossip.run(),
            self.dht.run() if self.dht else nullcontext(),
            trio.open_nursery() as self._tasks,
        ):
            self.swarm.register_notifee(_Greeter(self))
            try:
                yield
            finally:
                self._tasks.cancel_scope.cancel()
                self._tasks = None

    async def _look_after_company(self) -> None:
        while True:
            await trio.sleep(COMPANY_SECONDS)
            if len(self.swarm.connections) < COMPANY_PEERS:
                await self._meet_bootstrap()

    async def _meet_bootstrap(self) -> None:
        async with trio.open_nursery() as nursery:
            for peer, addresses in self._plan.bootstrap.items():
                nursery.start_soon(contained(self._meet), peer, addresses)

    async def _meet(self, peer: ID, addresses: Sequence[Multiaddr]) -> None:
        try:
            await self.dialler.connect(peer, addresses)
        except NodeUnreachable as error:
            log.info("bootstrap: %s", error)
            return
        if self.dht is not None:
            await self.dht.meet(peer)

    async def _leave(self) -> None:
        """Say goodbye to everybody, then close what is left; about 0.3 s, also under cancellation."""
        await self.swarm.hang_up()
        with trio.move_on_after(LEAVE_SECONDS, shield=True):
            await self._host.close()


@asynccontextmanager
async def opened(plan: Plan, handlers: Mapping[str, Handler]) -> AsyncIterator[House]:
    """A house with its services running, that neither listens nor knows anybody yet."""
    house = House(plan)
    for protocol, handler in handlers.items():
        house.serve(protocol, handler)
    async with background(house.swarm):
        try:
            async with house._services():
                yield house
        finally:
            await house._leave()


class _Greeter(INotifee):
    """Introduces every new connection to the DHT."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def connected(self, network: INetwork, conn: INetConn) -> None:
        if self._house.dht is not None:
            self._house.start(partial(self._house.dht.meet, conn.muxed_conn.peer_id))

    async def disconnected(self, network: INetwork, conn: INetConn) -> None: ...

    async def opened_stream(self, network: INetwork, stream: INetStream) -> None: ...

    async def closed_stream(self, network: INetwork, stream: INetStream) -> None: ...

    async def listen(self, network: INetwork, multiaddr: Multiaddr) -> None: ...

    async def listen_close(self, network: INetwork, multiaddr: Multiaddr) -> None: ...
