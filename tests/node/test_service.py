"""The whole node in memory: jobs over streams, lost lines, a graceful stop and a restart."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tallynet.ledger import MemoryLedger
from tallynet.network.frames import FROM_NODE, INFO_ANSWER, receive_frame, send_frame
from tallynet.network.memory import MemoryNetwork, MemoryTransport
from tallynet.network.transport import Stream
from tallynet.node.engines import Engines
from tallynet.node.journal import open_journal
from tallynet.node.service import Node, Running
from tallynet.protocol.advert import Advert
from tallynet.protocol.errors import Misconfigured, NodeUnreachable
from tallynet.protocol.leaf import Status
from tallynet.protocol.receipt import VerifiedReceipt, verify_receipt
from tallynet.protocol.units import Wei
from tallynet.protocol.wire import ADVERT_TOPIC, JOB_PROTOCOL, Accepted, Adverts, Cancel, Finished, Submit
from tests.node.examples import (
    CLIENT,
    DOMAIN,
    NODE,
    STRANGER,
    HeldEngine,
    append,
    clock,
    valid_config,
    valid_submit,
)

STEP_SECONDS = 20.0


@dataclass
class World:
    """A node that is ready, its chain, and a client's line to it."""

    node: Node
    running: Running
    ledger: MemoryLedger
    network: MemoryNetwork
    client: MemoryTransport

    @asynccontextmanager
    async def job(self, submit: Submit) -> AsyncIterator[Stream]:
        """A job that has been accepted."""
        async with await self.client.open(self.running.peer, JOB_PROTOCOL) as stream:
            await send_frame(stream, submit)
            accepted = await receive_frame(stream, FROM_NODE, seconds=STEP_SECONDS)
            assert isinstance(accepted, Accepted), accepted
            yield stream


async def receipt(stream: Stream) -> VerifiedReceipt:
    """Read on to the receipt, and check it."""
    while not isinstance(frame := await receive_frame(stream, FROM_NODE, seconds=STEP_SECONDS), Finished):
        pass
    return verify_receipt(frame.receipt, DOMAIN, NODE.address)


@asynccontextmanager
async def open_world(folder: Path, engine: HeldEngine, ledger: MemoryLedger, **settings: Any) -> AsyncIterator[World]:
    """Left by stopping the node gracefully."""
    network = MemoryNetwork()
    config = valid_config(folder, **settings)
    node = Node(config, NODE, MemoryTransport(network, NODE), ledger, Engines.of(config, engine), clock=clock)
    client = MemoryTransport(network, STRANGER, listen=False)
    async with trio.open_nursery() as nursery, client.run():
        running: Running = await nursery.start(lambda task_status: node.run(task_status=task_status))
        yield World(node, running, ledger, network, client)
        node.stop()


@pytest.fixture
def engine() -> HeldEngine:
    return HeldEngine()


@pytest.fixture
async def ledger() -> MemoryLedger:
    ledger = MemoryLedger(clock=lambda: clock() / 1000)
    await ledger.register(CLIENT, NODE, Wei(10**18), "")
    return ledger


async def test_a_job_over_a_stream(
    steady_clock: MockClock, tmp_path: Path, engine: HeldEngine, ledger: MemoryLedger
) -> None:
    engine.go.set()
    async with open_world(tmp_path, engine, ledger) as world, world.job(valid_submit()) as stream:
        assert (await receipt(stream)).leaf.status is Status.LENGTH


async def test_a_cancel_is_answered_with_a_receipt(
    steady_clock: MockClock, tmp_path: Path, engine: HeldEngine, ledger: MemoryLedger
) -> None:
    async with open_world(tmp_path, engine, ledger) as world, world.job(valid_submit()) as stream:
        await send_frame(stream, Cancel())

        assert (await receipt(stream)).leaf.status is Status.CANCELLED


async def test_a_lost_line_is_picked_up_again(
    steady_clock: MockClock, tmp_path: Path, engine: HeldEngine, ledger: MemoryLedger
) -> None:
    async with open_world(tmp_path, engine, ledger, abandon_seconds=600.0) as world:
        with pytest.raises(NodeUnreachable):
            async with world.job(valid_submit()) as stream:
                world.network.cut(STRANGER.peer_id)
                await receipt(stream)
        world.network.heal(STRANGER.peer_id)
        engine.go.set()

        async with world.job(valid_submit()) as stream:
            assert (await receipt(stream)).leaf.status is Status.LENGTH
    assert engine.streams == 1


async def test_a_lost_line_that_nobody_picks_up_ends_the_job(
    steady_clock: MockClock, tmp_path: Path, engine: HeldEngine, ledger: MemoryLedger
) -> None:
    async with open_world(tmp_path, engine, ledger, abandon_seconds=0.05) as world:
        with pytest.raises(NodeUnreachable):
            async with world.job(valid_submit()) as stream:
                world.network.cut(STRANGER.peer_id)
                await receipt(stream)
        with trio.fail_after(30):
            while b'tallynet_jobs_total{model="fake",status="cancelled"} 1.0' not in world.node.metrics.text():
                await trio.sleep(0.01)
        world.network.heal(STRANGER.peer_id)

        async with world.job(valid_submit()) as stream:
            assert (await receipt(stream)).leaf.status is Status.CANCELLED


async def test_a_stop_ends_the_jobs_with_a_reason_and_anchors_the_log(
    steady_clock: MockClock, tmp_path: Path, engine: HeldEngine, ledger: MemoryLedger
) -> None:
    async with open_world(tmp_path, engine, ledger, drain_seconds=0.05) as world, world.job(valid_submit()) as stream:
        world.node.stop()
        told = await receipt(stream)

    assert told.leaf.status is Status.SHUTDOWN
    (anchor,) = await ledger.anchors(NODE.address)
    assert anchor.size == 1


async def test_a_stopping_node_says_goodbye(
    steady_clock: MockClock, tmp_path: Path, engine: HeldEngine, ledger: MemoryLedger
) -> None:
    adverts: list[Advert] = []

    async def overhear(client: MemoryTransport, *, task_status: trio.TaskStatus[None]) -> None:
        async with client.subscribe(ADVERT_TOPIC) as gossip:
            task_status.started()
            async for _, data in gossip:
                heard = INFO_ANSWER.decode(data)
                assert isinstance(heard, Adverts)
                adverts.extend(signed.advert for signed in heard.adverts)

    async with trio.open_nursery() as nursery:
        async with open_world(tmp_path, engine, ledger) as world:
            await nursery.start(overhear, world.client)
            world.node.stop()
            with trio.fail_after(30):
                while not adverts or adverts[-1].offers:
                    await trio.sleep(0.01)
        nursery.cancel_scope.cancel()

    assert adverts[-1].peer == NODE.peer_id


async def test_a_restarted_node_goes_on_with_its_log(
    steady_clock: MockClock, tmp_path: Path, ledger: MemoryLedger
) -> None:
    receipts = []
    for _ in range(2):
        engine = HeldEngine()
        engine.go.set()
        async with open_world(tmp_path, engine, ledger) as world, world.job(valid_submit()) as stream:
            receipts.append(await receipt(stream))

    assert receipts[0] == receipts[1]
    assert [anchor.size for anchor in await ledger.anchors(NODE.address)] == [1]


async def test_an_old_backup_is_not_served(tmp_path: Path, engine: HeldEngine, ledger: MemoryLedger) -> None:
    newest, backup = tmp_path / "newest", tmp_path / "backup"
    with open_journal(newest, NODE.address, DOMAIN) as journal:
        await append(journal, 0)
        await ledger.anchor(NODE, 1, journal.tree.root(), ())

    config, transport = valid_config(tmp_path, data=backup), MemoryTransport(MemoryNetwork(), NODE)
    node = Node(config, NODE, transport, ledger, Engines.of(config, engine), clock=clock)
    with pytest.RaisesGroup(Misconfigured, flatten_subgroups=True, allow_unwrapped=True):
        await node.run()
