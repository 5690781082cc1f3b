"""What a network stands on: a ledger, ways to reach each other. Either all in memory, or libp2p and a chain."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from tallynet.console.network_file import NetworkFile
from tallynet.devnet.deployment import STAKE, Member, deploy_ledger, enlist
from tallynet.devnet.lifetime import free_ports
from tallynet.ledger.ledger import Ledger
from tallynet.ledger.opening import open_ledger
from tallynet.network.transport import PeerAddress, Transport
from tallynet.protocol.keys import Key
from tallynet.protocol.units import prefixed

Clock = Callable[[], float]
"""Gives Unix seconds."""


@dataclass(frozen=True)
class World:
    """The ground for any number of peers."""

    network: NetworkFile
    """Without nodes. In memory its RPC URL leads nowhere: give clients the ledger itself."""
    ledger: Ledger
    """One for everybody in the process: it hands out the nonces."""
    place: Callable[[], str]
    """A multiaddr that a new peer can listen on."""
    transport: Callable[[Key, Sequence[str], Sequence[PeerAddress]], Transport]
    """The presence of one peer: its key, the multiaddrs it listens on (none: it only dials), whom it knows."""
    enlist: Callable[[Member], Awaitable[None]]
    """Registers a node, paid for."""


@asynccontextmanager
async def memory_world(clock: Clock = time.time) -> AsyncIterator[World]:
    """Everything in memory: instant, free, without sockets. Signatures, logs and proofs are the real ones."""
    from tallynet.ledger.memory import MemoryLedger
    from tallynet.network.memory import MemoryNetwork, MemoryTransport

    ledger, peers = MemoryLedger(minimum_stake=STAKE, clock=clock), MemoryNetwork()
    domain = ledger.domain
    yield World(
        network=NetworkFile("http://memory.invalid", domain.chain_id, prefixed(domain.contract), name="memory"),
        ledger=ledger,
        place=lambda: "/memory",
        transport=lambda key, listen, known: MemoryTransport(peers, key, listen=bool(listen)),
        enlist=lambda member: ledger.register(member.operator, member.key, STAKE, member.multiaddr),
    )


@asynccontextmanager
async def real_world(clock: Clock = time.time) -> AsyncIterator[World]:
    """The embedded chain behind its JSON-RPC port, and libp2p over TCP on loopback."""
    from tallynet.devnet.chain.accounts import funded_key, funded_keys
    from tallynet.devnet.chain.evm import EmbeddedChain
    from tallynet.devnet.chain.server import ChainServer
    from tallynet.devnet.purse import Purse

    async with trio.open_nursery() as nursery:
        chain = EmbeddedChain([key.address for key in funded_keys()], clock=clock)
        url = await nursery.start(ChainServer(chain).run)
        network = await deploy_ledger(url, funded_key(), "devnet")
        async with open_ledger(network.rpc_url, network.domain, network.confirmations) as ledger:
            purse = Purse(url, funded_key())
            yield World(network, ledger, _place, _transport, lambda member: enlist(ledger, purse, member))
        nursery.cancel_scope.cancel()


def _place() -> str:
    (port,) = free_ports(1)
    return f"/ip4/127.0.0.1/tcp/{port}"


def _transport(key: Key, listen: Sequence[str], known: Sequence[PeerAddress]) -> Transport:
    from tallynet.network.host import Libp2pTransport

    return Libp2pTransport(key, listen=listen, bootstrap=known, dht=bool(listen))
