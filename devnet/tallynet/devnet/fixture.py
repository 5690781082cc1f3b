"""A devnet inside the process: for tests, ours and yours, and for the demonstration.

@pytest.fixture
async def devnet(tmp_path):
    async with open_devnet(tmp_path, nodes=3, cheats={1: ALTERED_ANSWER}) as devnet:
        yield devnet

async def test_the_cheat_is_named(devnet):
    async with devnet.client() as client:
        with pytest.raises(InvalidChunk):
            await client.ask("fake", "Hello", node=devnet.nodes[1].address)
"""

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import trio

from tallynet.client.client import AsyncClient
from tallynet.console.network_file import NetworkFile, NodeHint
from tallynet.console.terminal import first_error
from tallynet.devnet.cheats.cheat import LedgerCheat
from tallynet.devnet.deployment import Member
from tallynet.devnet.tampering import Cheat, TamperingTransport
from tallynet.devnet.world import Clock, World, memory_world
from tallynet.engine import Engine, FakeEngine
from tallynet.ledger.ledger import Ledger
from tallynet.network.transport import PeerAddress, Transport
from tallynet.node.config import NodeConfig
from tallynet.node.engines import Engines
from tallynet.node.service import Node, Running
from tallynet.protocol.errors import Misconfigured, TallyError
from tallynet.protocol.keys import Key
from tallynet.protocol.units import Address, Milliseconds, prefixed

SETTINGS: Mapping[str, Any] = {
    "anchor_seconds": 1.0,
    "promise_seconds": 60,
    "advert_seconds": 1.0,
    "abandon_seconds": 1.0,
    "drain_seconds": 5.0,
    "http": "",
}
"""What differs from a node's ordinary settings."""


@dataclass
class Stop:
    """Whether a node has been stopped by its own program, and why."""

    error: TallyError | None = None
    happened: trio.Event = field(default_factory=trio.Event)


@dataclass(frozen=True)
class DevnetNode:
    """One running node."""

    name: str
    node: Node
    running: Running
    cheat: Cheat | LedgerCheat | None
    stop: Stop = field(default_factory=Stop)
    """Of a cheat that its own program does not let go on."""

    @property
    def address(self) -> Address:
        return self.node.key.address

    @property
    def peer(self) -> PeerAddress:
        return self.running.peer


@dataclass
class Devnet:
    """A network to play with."""

    world: World
    nodes: Sequence[DevnetNode]
    clock: Clock

    @property
    def ledger(self) -> Ledger:
        return self.world.ledger

    @property
    def network(self) -> NetworkFile:
        """As `devnet up` writes it."""
        hints = tuple(_hint(node) for node in self.nodes)
        bootstrap = tuple(hint.multiaddr for hint in hints)
        return msgspec.structs.replace(self.world.network, nodes=hints, bootstrap=bootstrap)

    def client(self, key: Key | None = None) -> AsyncClient:
        """A user with a key of their own; enter it with `async with`."""
        return AsyncClient(
            self.network,
            key=key or Key.generate(),
            transport=self.transport(),
            ledger=self.ledger,
            clock=partial(_milliseconds, self.clock),
            keep=False,
        )

    def transport(self) -> Transport:
        """A peer that only dials, not yet running; knows the nodes."""
        return self.world.transport(Key.generate(), (), [node.peer for node in self.nodes])

    def named(self, address: Address) -> str:
        """The name of a node, for people."""
        return next((node.name for node in self.nodes if node.address == address), prefixed(address))


@asynccontextmanager
async def open_devnet(
    folder: Path,
    *,
    nodes: int = 1,
    world: Callable[[Clock], AbstractAsyncContextManager[World]] = memory_world,
    engine: Callable[[], Engine] = FakeEngine,
    more: Sequence[Callable[[], Engine]] = (),
    cheats: Mapping[int, Cheat | LedgerCheat] | None = None,
    settings: Mapping[str, Any] | None = None,
    overrides: Mapping[int, Mapping[str, Any]] | None = None,
    clock: Clock = time.time,
) -> AsyncIterator[Devnet]:
    """Run a network until the block is left; then its nodes stop gracefully.

    `world` is `memory_world`, `chain_world` or `real_world`. `engine` makes each node's engine, in a thread, and
    `more` make those of further models, which every node serves besides. Node number i (from 0) cheats as `cheats[i]`
    says. `settings` are those of `NodeConfig`, for all nodes, `overrides[i]` for one. Logs go to `folder`. `clock` is
    the time of day of everybody, chain included.
    """
    async with world(clock) as ground, trio.open_nursery() as nursery:
        crew = _Crew(ground, folder, clock, {**SETTINGS, **(settings or {})})
        for number in range(nodes):
            crew.hire((cheats or {}).get(number), (overrides or {}).get(number, {}))
        running = await crew.start(nursery, (engine, *more))
        yield Devnet(ground, running, clock)
        for started in running:
            started.node.stop()


@dataclass(frozen=True)
class _Recruit:
    """A node to be."""

    member: Member
    listen: str
    config: NodeConfig
    cheat: Cheat | LedgerCheat | None
    stop: Stop = field(default_factory=Stop)

    @property
    def peer(self) -> PeerAddress:
        return PeerAddress(self.member.key.peer_id, (self.listen,))


@dataclass
class _Crew:
    """Hires nodes first and starts them then, so that each knows the others from its start."""

    world: World
    folder: Path
    clock: Clock
    settings: Mapping[str, Any]
    recruits: list[_Recruit] = field(default_factory=list)

    def hire(self, cheat: Cheat | LedgerCheat | None, settings: Mapping[str, Any]) -> None:
        name, key, listen = f"node-{len(self.recruits) + 1}", Key.generate(), self.world.place()
        folder = self.folder / name
        paths = {"keystore": folder / "key.json", "data": folder / "data", "network": folder / "network.json"}
        config = NodeConfig(**{**self.settings, **settings, **paths, "listen": (listen,)})
        member = Member(name, key, Key.generate(), f"{listen}/p2p/{key.peer_id}")
        self.recruits.append(_Recruit(member, listen, config, cheat))

    async def start(self, nursery: trio.Nursery, makers: Sequence[Callable[[], Engine]]) -> list[DevnetNode]:
        """Returns when all are ready and registered. Engines are loaded one after the other."""
        ready: dict[str, DevnetNode] = {}
        one_by_one = trio.CapacityLimiter(1)

        async def start_one(recruit: _Recruit) -> None:
            engines = [await trio.to_thread.run_sync(make, limiter=one_by_one) for make in makers]
            node = self._node(recruit, Engines.of(recruit.config, *engines))
            running: Running = await nursery.start(_run, node, recruit)
            name = recruit.member.name
            ready[name] = DevnetNode(name, node, running, recruit.cheat, recruit.stop)

        async with trio.open_nursery() as starting:
            for recruit in self.recruits:
                starting.start_soon(self.world.enlist, recruit.member)
                starting.start_soon(start_one, recruit)
        return [ready[recruit.member.name] for recruit in self.recruits]

    def _node(self, recruit: _Recruit, engines: Engines) -> Node:
        key, known = recruit.member.key, tuple(other.peer for other in self.recruits if other is not recruit)
        transport = self.world.transport(key, recruit.config.listen, known)
        if isinstance(recruit.cheat, Cheat):
            transport = TamperingTransport(transport, recruit.cheat)
        make = recruit.cheat.make if isinstance(recruit.cheat, LedgerCheat) else Node
        clock = partial(_milliseconds, self.clock)
        return make(recruit.config, key, transport, self.world.ledger, engines, known, clock)


async def _run(node: Node, recruit: _Recruit, *, task_status: trio.TaskStatus[Running]) -> None:
    """A cheat that is stopped by the program it runs is remembered; whatever else ends a node ends the devnet."""
    started = False
    try:
        async with trio.open_nursery() as nursery:
            running: Running = await nursery.start(node.run)
            started = True
            task_status.started(running)
    except* Misconfigured as group:
        if not started or not isinstance(recruit.cheat, LedgerCheat):
            raise
        recruit.stop.error = first_error(group)
        recruit.stop.happened.set()


def _hint(node: DevnetNode) -> NodeHint:
    first, *others = (served.name for served in node.node.engines)
    return NodeHint(prefixed(node.address), str(node.peer), node.running.http, first, tuple(others))


def _milliseconds(clock: Clock) -> Milliseconds:
    return Milliseconds(int(1000 * clock()))
