"""A whole scripted network inside a client's own loop: for the blocking client and the commands."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from tallynet.client import Client
from tallynet.console.network_file import NetworkFile
from tallynet.ledger.memory import MemoryLedger
from tallynet.network.memory import MemoryNetwork, MemoryTransport
from tallynet.protocol.keys import Key
from tallynet.protocol.units import Milliseconds
from tests.client.scripted_node import ScriptedNode
from tests.client.world import CLIENT, START, network_file


def standing_clock() -> Milliseconds:
    return START


class HostedTransport(MemoryTransport):
    """A dial-only transport that brings its network with it: what runs it runs the nodes too."""

    def __init__(self, *nodes: dict[str, Any], clock: Callable[[], Milliseconds] = standing_clock) -> None:
        self.ledger = MemoryLedger(clock=lambda: clock() / 1000)
        net = MemoryNetwork()
        self.nodes = [_node(net, self.ledger, {"clock": clock, **settings}) for settings in nodes]
        super().__init__(net, Key.generate(), listen=False)

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            for node in self.nodes:
                await nursery.start(_run, node)
            async with super().run():
                yield
            nursery.cancel_scope.cancel()

    @property
    def network(self) -> NetworkFile:
        return network_file(self.ledger, self.nodes)

    def client(self, keep: Path | bool = False) -> Client:
        return Client(self.network, key=CLIENT, transport=self, ledger=self.ledger, clock=standing_clock, keep=keep)


async def _run(node: ScriptedNode, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    await node.run(task_status=task_status)


def _node(net: MemoryNetwork, ledger: MemoryLedger, settings: dict[str, Any]) -> ScriptedNode:
    key = Key.generate()
    return ScriptedNode(MemoryTransport(net, key), key, ledger.domain, **settings)
