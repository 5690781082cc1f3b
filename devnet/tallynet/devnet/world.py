"""What a network stands on: a ledger, ways to reach each other. In memory, on libp2p and a chain, or half and half."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import trio

from tallynet.console.network_file import NetworkFile
from tallynet.devnet.deployment import ANSWER_SECONDS, STAKE, Member, deploy_ledger, enlist
from tallynet.devnet.lifetime import free_ports
from tallynet.ledger.ledger import Ledger
from tallynet.ledger.opening import open_ledger
from tallynet.network.transport import PeerAddress, Transport
from tallynet.protocol.keys import Key
from tallynet.protocol.units import prefixed

Clock = Callable[[], float]
"""Gives Unix seconds."""


@dataclass
class MovableClock:
    """The time of day, and as many seconds more as were let pass: deadlines come without waiting."""

    ahead: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead

    def let_pass(self, seconds: float) -> None:
        self.ahead += seconds


OpenTransport = Callable[[Key, Sequence[str], Sequence[PeerAddress]], Transport]


@dataclass(frozen=True)
class World:
    """The ground for any number of peers."""

    network: NetworkFile
    """Without nodes. In memory its RPC URL leads nowhere: give clients the ledger itself."""
    ledger: Ledger
    """One for everybody in the process: it hands out the nonces."""
    place: Callable[[], str]
    """A multiaddr that a new peer can listen on."""
    transport: OpenTransport
    """The presence of one peer: its key, the multiaddrs it listens on (none: it only dials), whom it knows."""
    enlist: Callable[[Member], Awaitable[None]]
    """Registers a node, paid for."""
    mine: Callable[[], Awaitable[None]]
    """Adds an empty block, so that the chain's time is that of the clock."""
    auditor: Key
    """Somebody with coins for gas and bonds, where they are needed."""


@asynccontextmanager
async def memory_world(clock: Clock = time.time) -> AsyncIterator[World]:
    """Everything in memory: instant, free, without sockets. Signatures, logs and proofs are the real ones."""
    from tallynet.ledger.memory import MemoryLedger

    ledger = MemoryLedger(minimum_stake=STAKE, answer_seconds=ANSWER_SECONDS, clock=clock)
    domain = ledger.domain

    async def mine() -> None:
        await trio.lowlevel.checkpoint()
        ledger.mine()

    yield World(
        network=NetworkFile("http://memory.invalid", domain.chain_id, prefixed(domain.contract), name="memory"),
        ledger=ledger,
        place=lambda: "/memory",
        transport=_memory_transports(),
        enlist=lambda member: ledger.register(member.operator, member.key, STAKE, member.multiaddr),
        mine=mine,
        auditor=Key.generate(),
    )


@asynccontextmanager
async def chain_world(clock: Clock = time.time) -> AsyncIterator[World]:
    """The embedded chain with its gas and its rules; peers reach each other in memory."""
    async with _on_chain(clock, lambda: "/memory", _memory_transports()) as world:
        yield world


@asynccontextmanager
async def real_world(clock: Clock = time.time) -> AsyncIterator[World]:
    """The embedded chain behind its JSON-RPC port, and libp2p over TCP on loopback."""
    async with _on_chain(clock, _place, _transport) as world:
        yield world


@asynccontextmanager
async def _on_chain(clock: Clock, place: Callable[[], str], transport: OpenTransport) -> AsyncIterator[World]:
    from tallynet.devnet.chain.accounts import funded_key, funded_keys
    from tallynet.devnet.chain.evm import EmbeddedChain
    from tallynet.devnet.chain.server import ChainServer
    from tallynet.devnet.purse import Purse

    async with trio.open_nursery() as nursery:
        chain = EmbeddedChain([key.address for key in funded_keys()], clock=clock)
        server = ChainServer(chain)
        url = await nursery.start(server.run)
        network = await deploy_ledger(url, funded_key(), "devnet")
        async with open_ledger(network.rpc_url, network.domain, network.confirmations) as ledger:
            register = partial(enlist, ledger, Purse(url, funded_key()))
            yield World(network, ledger, place, transport, register, server.mine, funded_key(1))
        nursery.cancel_scope.cancel()


def _memory_transports() -> OpenTransport:
    from tallynet.network.memory import MemoryNetwork, MemoryTransport

    peers = MemoryNetwork()
    return lambda key, listen, known: MemoryTransport(peers, key, listen=bool(listen))


def _place() -> str:
    (port,) = free_ports(1)
    return f"/ip4/127.0.0.1/tcp/{port}"


def _transport(key: Key, listen: Sequence[str], known: Sequence[PeerAddress]) -> Transport:
    from tallynet.network.host import Libp2pTransport

    return Libp2pTransport(key, listen=listen, bootstrap=known, dht=bool(listen))
