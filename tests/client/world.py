"""A small network in memory: scripted nodes, a ledger, and clients that find them."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from tallynet.client import AsyncClient
from tallynet.console.network_file import NetworkFile
from tallynet.ledger.memory import MemoryLedger
from tallynet.network.memory import MemoryNetwork, MemoryTransport
from tallynet.network.transport import PeerAddress, Transport
from tallynet.protocol.keys import Key
from tallynet.protocol.units import Milliseconds, prefixed
from tests.client.scripted_node import ScriptedNode

START = Milliseconds(1_767_225_600_000)
CLIENT = Key(bytes(31) + b"\x07")


def clock() -> Milliseconds:
    """The time of day in this world: trio's clock, which tests make jump."""
    return Milliseconds(START + int(1000 * trio.current_time()))


class World:
    """Lives as long as its nursery."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.nursery = nursery
        self.net = MemoryNetwork()
        self.ledger = MemoryLedger(clock=lambda: clock() / 1000)
        self.nodes: list[ScriptedNode] = []

    async def node(self, **settings: Any) -> ScriptedNode:
        """Start another node."""
        key = settings.pop("key", None) or Key.generate()
        settings = {"domain": self.ledger.domain, "clock": clock, **settings}
        node = ScriptedNode(MemoryTransport(self.net, key), key, **settings)
        await self.nursery.start(lambda task_status: node.run(task_status=task_status))
        self.nodes.append(node)
        return node

    def network(self, bootstrap: Iterable[ScriptedNode] | None = None) -> NetworkFile:
        """A network file that names `bootstrap`, by default all nodes so far."""
        return network_file(self.ledger, self.nodes if bootstrap is None else bootstrap)

    @asynccontextmanager
    async def client(self, network: NetworkFile | None = None, keep: Path | bool = False) -> AsyncIterator[AsyncClient]:
        transport: Transport = MemoryTransport(self.net, Key.generate(), listen=False)
        client = AsyncClient(
            network or self.network(),
            key=CLIENT,
            transport=transport,
            ledger=self.ledger,
            clock=clock,
            keep=keep,
        )
        async with client:
            yield client


def network_file(ledger: MemoryLedger, nodes: Iterable[ScriptedNode]) -> NetworkFile:
    domain = ledger.domain
    return NetworkFile(
        rpc_url="http://127.0.0.1:1",
        chain_id=domain.chain_id,
        contract=prefixed(domain.contract),
        bootstrap=tuple(multiaddr(node) for node in nodes),
    )


def multiaddr(node: ScriptedNode) -> str:
    return str(PeerAddress(node.key.peer_id, (f"/memory/{node.key.peer_id}",)))
