"""One stream, several jobs: what one does leaves the next one alone."""

from pathlib import Path

import pytest
from trio.testing import MockClock

from tallynet.ledger import MemoryLedger
from tallynet.network.frames import FROM_NODE, EndOfStream, receive_frame, send_frame
from tallynet.node import counter
from tallynet.protocol.errors import NodeUnreachable
from tallynet.protocol.leaf import Status
from tallynet.protocol.wire import Accepted, Cancel, Rejected
from tests.node.examples import HeldEngine, valid_submit
from tests.node.test_service import STEP_SECONDS, engine, ledger, open_world, receipt

__all__ = ["engine", "ledger"]


async def test_jobs_follow_each_other_on_one_stream(
    steady_clock: MockClock, tmp_path: Path, engine: HeldEngine, ledger: MemoryLedger
) -> None:
    engine.go.set()
    async with open_world(tmp_path, engine, ledger) as world, world.job(valid_submit()) as stream:
        indices = [(await receipt(stream)).receipt.index]
        for number in (1, 2):
            await send_frame(stream, valid_submit(nonce=bytes([number]) * 32))
            frame = await receive_frame(stream, FROM_NODE, seconds=STEP_SECONDS)
            assert isinstance(frame, Accepted)
            indices.append((await receipt(stream)).receipt.index)

    assert indices == [0, 1, 2]


async def test_a_late_cancel_does_not_stop_the_next_job(
    steady_clock: MockClock, tmp_path: Path, engine: HeldEngine, ledger: MemoryLedger
) -> None:
    engine.go.set()
    async with open_world(tmp_path, engine, ledger) as world, world.job(valid_submit()) as stream:
        await receipt(stream)
        await send_frame(stream, Cancel())
        await send_frame(stream, valid_submit(nonce=bytes([1]) * 32))

        assert (await receipt(stream)).leaf.status is Status.LENGTH


async def test_a_job_before_the_receipt_of_the_one_before_breaks_the_stream_and_no_run(
    steady_clock: MockClock, tmp_path: Path, engine: HeldEngine, ledger: MemoryLedger
) -> None:
    async with open_world(tmp_path, engine, ledger) as world:
        async with world.job(valid_submit()) as stream:
            await send_frame(stream, valid_submit(nonce=bytes([1]) * 32))
            with pytest.raises(NodeUnreachable):
                await receipt(stream)
        engine.go.set()
        async with world.job(valid_submit()) as stream:
            assert (await receipt(stream)).leaf.status is Status.LENGTH

    assert engine.streams == 1


async def test_a_refused_job_ends_the_stream(
    steady_clock: MockClock, tmp_path: Path, engine: HeldEngine, ledger: MemoryLedger
) -> None:
    engine.go.set()
    async with open_world(tmp_path, engine, ledger) as world, world.job(valid_submit()) as stream:
        await receipt(stream)
        await send_frame(stream, valid_submit(deadline=1))
        frame = await receive_frame(stream, FROM_NODE, seconds=STEP_SECONDS)
        assert isinstance(frame, Rejected)
        with pytest.raises(EndOfStream):
            await receive_frame(stream, FROM_NODE, seconds=STEP_SECONDS)


async def test_an_idle_stream_is_closed_after_its_time(
    steady_clock: MockClock, tmp_path: Path, engine: HeldEngine, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counter, "NEXT_SECONDS", 0.05)
    engine.go.set()
    async with open_world(tmp_path, engine, ledger) as world, world.job(valid_submit()) as stream:
        await receipt(stream)
        with pytest.raises(EndOfStream):
            await receive_frame(stream, FROM_NODE, seconds=STEP_SECONDS)


async def test_a_node_stops_while_a_stream_is_idle(
    steady_clock: MockClock, tmp_path: Path, engine: HeldEngine, ledger: MemoryLedger
) -> None:
    engine.go.set()
    async with open_world(tmp_path, engine, ledger) as world, world.job(valid_submit()) as stream:
        await receipt(stream)
        world.node.stop()
        with pytest.raises((EndOfStream, NodeUnreachable)):
            await receive_frame(stream, FROM_NODE, seconds=STEP_SECONDS)
