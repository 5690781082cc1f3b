"""(2) to (4) A job has one run and one receipt, whoever asks how often, and however it ends."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
import trio
import trio.testing
from msgspec.structs import replace
from trio.testing import MockClock

from tallynet.node.desk import Desk
from tallynet.node.run import Run
from tallynet.protocol.errors import Busy, InvalidJob, Refused, Unreachable
from tallynet.protocol.job import Sampling
from tallynet.protocol.leaf import Status
from tallynet.protocol.receipt import VerifiedReceipt, verify_receipt
from tallynet.protocol.units import Digest, Seconds
from tallynet.protocol.wire import Accepted, Finished, Frame, Rejected, Streamed, Submit
from tests.node.examples import DEADLINE_MS, DOMAIN, NODE, HeldEngine, clock, job_id, open_desk, valid_submit


@pytest.fixture
def engine() -> HeldEngine:
    return HeldEngine(slots=2)


@pytest.fixture
async def desk(tmp_path: Path, engine: HeldEngine) -> AsyncIterator[Desk]:
    async with open_desk(tmp_path, engine, queue=1) as desk:
        yield desk


def another(number: int) -> Submit:
    """A valid job of its own."""
    return valid_submit(nonce=Digest(number.to_bytes(32)))


async def hear(run: Run) -> list[Frame]:
    async with aclosing(run.follow()) as frames:
        return [frame async for frame in frames]


async def receipt(run: Run) -> VerifiedReceipt:
    """Its receipt, checked; fails when the run ends in any other way."""
    last = (await hear(run))[-1]
    assert isinstance(last, Finished)
    return verify_receipt(last.receipt, DOMAIN, NODE.address)


async def test_a_job_is_answered_and_logged(steady_clock: MockClock, desk: Desk, engine: HeldEngine) -> None:
    engine.go.set()

    run = await desk.take(valid_submit())
    accepted, *chunks, last = await hear(run)

    assert isinstance(accepted, Accepted) and accepted.job == job_id(valid_submit())
    assert sum(len(chunk.chunk.body.tokens) for chunk in chunks if isinstance(chunk, Streamed)) == 20
    assert isinstance(last, Finished)
    leaf = (await receipt(run)).leaf
    assert (leaf.status, leaf.completion_tokens) == (Status.LENGTH, 20)
    assert desk.worker.journal.tree.leaf(0) == leaf.hash
    await trio.testing.wait_all_tasks_blocked()
    assert desk.runs == {}


async def test_the_same_job_again_attaches_to_its_run(steady_clock: MockClock, desk: Desk, engine: HeldEngine) -> None:
    first = await desk.take(valid_submit())
    second = await desk.take(valid_submit())
    engine.go.set()

    assert second is first
    assert await receipt(first) == await receipt(second)
    assert (engine.streams, desk.worker.journal.size) == (1, 1)


async def test_the_same_job_twice_at_once_is_one_run(steady_clock: MockClock, desk: Desk, engine: HeldEngine) -> None:
    runs: list[Run] = []

    async def take() -> None:
        runs.append(await desk.take(valid_submit()))

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(take)
    engine.go.set()

    assert all(run is runs[0] for run in runs)
    await receipt(runs[0])
    assert (engine.streams, desk.worker.journal.size) == (1, 1)


async def test_a_finished_job_is_replayed_from_the_log(steady_clock: MockClock, desk: Desk, engine: HeldEngine) -> None:
    engine.go.set()
    said = await hear(await desk.take(valid_submit()))

    again = await hear(await desk.take(valid_submit()))

    assert again == said
    assert (engine.streams, desk.worker.journal.size) == (1, 1)


async def test_a_finished_job_is_replayed_after_a_restart(steady_clock: MockClock, tmp_path: Path) -> None:
    async with open_desk(tmp_path, engine := HeldEngine()) as desk:
        engine.go.set()
        said = await hear(await desk.take(valid_submit()))

    async with open_desk(tmp_path, HeldEngine()) as desk:
        assert await hear(await desk.take(valid_submit())) == said


async def test_a_forgotten_answer_is_not_made_up_again(steady_clock: MockClock, desk: Desk, engine: HeldEngine) -> None:
    engine.go.set()
    await receipt(await desk.take(valid_submit()))
    await desk.worker.journal.forget_answers(Seconds(2**40))

    with pytest.raises(Refused, match="no longer kept"):
        await desk.take(valid_submit())

    assert (engine.streams, desk.worker.journal.size) == (1, 1)


@pytest.mark.parametrize("part", ["secret", "request"])
@pytest.mark.parametrize("over", [False, True], ids=["running", "finished"])
async def test_a_job_replayed_without_its_secret_or_request_tells_nothing(
    steady_clock: MockClock, desk: Desk, engine: HeldEngine, part: str, over: bool
) -> None:
    """Who has seen the signed job alone must not be able to read the answer with it."""
    run = await desk.take(valid_submit())
    if over:
        engine.go.set()
        await receipt(run)

    with pytest.raises(InvalidJob) as caught:
        await desk.take(replace(valid_submit(), **{part: bytes(32)}))

    assert caught.value.check == 4


async def test_beyond_the_queue_is_busy_with_a_time(steady_clock: MockClock, desk: Desk, engine: HeldEngine) -> None:
    for number in range(3):
        await desk.take(another(number))

    with pytest.raises(Busy, match=r"\(8\) 3 jobs of this model run or wait here, there is room for 3") as caught:
        await desk.take(another(3))
    assert caught.value.retry_after_ms >= 250

    engine.go.set()
    for run in list(desk.runs.values()):
        await receipt(run)
    await trio.testing.wait_all_tasks_blocked()
    await receipt(await desk.take(another(3)))


async def test_a_refused_job_leaves_nothing_behind(steady_clock: MockClock, desk: Desk, engine: HeldEngine) -> None:
    with pytest.raises(InvalidJob):
        await desk.take(valid_submit(sampling=Sampling(max_tokens=8192)))

    assert desk.runs == {}
    assert (engine.streams, desk.worker.journal.size) == (0, 0)


async def test_a_job_twice_at_once_is_refused_to_both(steady_clock: MockClock, desk: Desk) -> None:
    too_long = valid_submit(sampling=Sampling(max_tokens=8192))
    checks: list[int | None] = []

    async def take() -> None:
        try:
            last = (await hear(await desk.take(too_long)))[-1]
            checks.append(last.check if isinstance(last, Rejected) else None)
        except InvalidJob as error:
            checks.append(error.check)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take)
        nursery.start_soon(take)

    assert checks == [6, 6]


async def test_an_abandoned_run_is_cancelled_in_time(autojump_clock: MockClock, desk: Desk) -> None:
    run = await desk.take(valid_submit())

    desk.watch_abandoned(run, 15.0)
    leaf = (await receipt_without_following(run)).leaf

    assert leaf.status is Status.CANCELLED
    assert 15_000 <= leaf.ended - leaf.started < 16_000


async def receipt_without_following(run: Run) -> VerifiedReceipt:
    await run.ended()
    return await receipt(run)


async def test_a_run_goes_on_when_its_client_comes_back(
    autojump_clock: MockClock, desk: Desk, engine: HeldEngine
) -> None:
    run = await desk.take(valid_submit())
    desk.watch_abandoned(run, 15.0)
    await trio.sleep(14)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(hear, run)
        await trio.sleep(5)
        engine.go.set()

    assert (await receipt(run)).leaf.status is Status.LENGTH


async def test_a_cancelled_run_has_a_receipt(steady_clock: MockClock, desk: Desk) -> None:
    run = await desk.take(valid_submit())
    await trio.testing.wait_all_tasks_blocked()

    run.stop(Status.CANCELLED)

    leaf = (await receipt(run)).leaf
    assert (leaf.status, leaf.completion_tokens) == (Status.CANCELLED, 0)


async def test_a_run_cancelled_before_it_began_has_a_receipt(steady_clock: MockClock, desk: Desk) -> None:
    run = await desk.take(valid_submit())

    run.stop(Status.CANCELLED)

    assert (await receipt(run)).leaf.status is Status.CANCELLED


async def test_what_was_said_before_the_cancel_is_in_the_receipt(autojump_clock: MockClock, tmp_path: Path) -> None:
    engine = HeldEngine(tokens_per_second=10.0)
    engine.go.set()
    async with open_desk(tmp_path, engine) as desk:
        run = await desk.take(valid_submit(now=clock(), sampling=Sampling(max_tokens=4000)))
        async with aclosing(run.follow()) as frames:
            async for frame in frames:
                if isinstance(frame, Streamed):
                    run.stop(Status.CANCELLED)
        said = [frame.chunk.body for frame in run.frames if isinstance(frame, Streamed)]

        leaf = (await receipt(run)).leaf

    assert leaf.status is Status.CANCELLED
    assert 0 < leaf.completion_tokens == sum(len(body.tokens) for body in said) < 4000


async def test_the_deadline_ends_a_run_with_a_receipt(autojump_clock: MockClock, desk: Desk) -> None:
    run = await desk.take(valid_submit())

    leaf = (await receipt(run)).leaf

    assert leaf.status is Status.DEADLINE
    assert DEADLINE_MS <= leaf.ended - leaf.started < DEADLINE_MS + 1000


@pytest.mark.parametrize("fault", [Unreachable("the runtime is gone"), ZeroDivisionError("a bug")])
async def test_a_failing_engine_gives_a_receipt_that_says_so(
    steady_clock: MockClock, desk: Desk, engine: HeldEngine, fault: Exception
) -> None:
    engine.fault = fault
    engine.go.set()

    assert (await receipt(await desk.take(valid_submit()))).leaf.status is Status.FAILED

    engine.fault = None
    assert (await receipt(await desk.take(another(1)))).leaf.status is Status.LENGTH


async def test_a_full_disk_promises_nothing(
    steady_clock: MockClock, desk: Desk, engine: HeldEngine, tmp_path: Path
) -> None:
    database = sqlite3.connect(tmp_path / "data" / "log.sqlite")
    database.execute("CREATE TRIGGER full BEFORE INSERT ON entries BEGIN SELECT RAISE(FAIL, 'disk full'); END")
    database.close()
    engine.go.set()

    last = (await hear(await desk.take(valid_submit())))[-1]

    assert isinstance(last, Rejected) and last.code == "busy"
    assert desk.worker.journal.size == 0
    await trio.testing.wait_all_tasks_blocked()
    assert desk.runs == {}


async def test_a_stopping_node_lets_its_runs_finish(steady_clock: MockClock, desk: Desk, engine: HeldEngine) -> None:
    run = await desk.take(valid_submit())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.drain, 20.0)
        await trio.testing.wait_all_tasks_blocked()
        engine.go.set()

    assert run.done and desk.runs == {}
    assert (await receipt(run)).leaf.status is Status.LENGTH


async def test_a_stopping_node_signs_why_it_ends_the_others(steady_clock: MockClock, desk: Desk) -> None:
    runs = [await desk.take(another(number)) for number in range(3)]

    await desk.drain(0.01)

    assert desk.runs == {}
    receipts = [await receipt(run) for run in runs]
    assert [found.leaf.status for found in receipts] == [Status.SHUTDOWN] * 3
    assert sorted(found.receipt.index for found in receipts) == [0, 1, 2]
    assert desk.worker.journal.size == 3


async def test_a_stopping_node_takes_nothing_new(steady_clock: MockClock, desk: Desk, engine: HeldEngine) -> None:
    engine.go.set()
    said = await hear(await desk.take(another(0)))
    await desk.drain(1.0)

    with pytest.raises(Busy, match="stopping") as caught:
        await desk.take(another(1))

    assert caught.value.retry_after_ms > 0
    assert await hear(await desk.take(another(0))) == said


async def test_the_power_cut_leaves_nothing_promised(steady_clock: MockClock, tmp_path: Path) -> None:
    async with open_desk(tmp_path, HeldEngine()) as desk:
        run = await desk.take(valid_submit())
        await trio.testing.wait_all_tasks_blocked()

    assert [type(frame) for frame in run.frames] == [Accepted]
    async with open_desk(tmp_path, HeldEngine()) as desk:
        assert desk.worker.journal.size == 0


async def test_an_interrupted_job_is_never_run_again(steady_clock: MockClock, tmp_path: Path) -> None:
    """Chunks of it may have been signed: others, signed after the restart, would contradict them."""
    async with open_desk(tmp_path, HeldEngine()) as desk:
        await desk.take(valid_submit())

    async with open_desk(tmp_path, engine := HeldEngine()) as desk:
        with pytest.raises(Refused, match="lost power"):
            await desk.take(valid_submit())
        assert engine.streams == 0

        engine.go.set()
        assert (await receipt(await desk.take(another(1)))).leaf.status is Status.LENGTH


async def test_what_is_counted(steady_clock: MockClock, desk: Desk, engine: HeldEngine) -> None:
    engine.go.set()
    await receipt(await desk.take(valid_submit()))
    await trio.testing.wait_all_tasks_blocked()

    text = desk.metrics.text().decode()
    assert 'tallynet_jobs_total{model="fake",status="length"} 1.0' in text
    assert 'tallynet_completion_tokens_total{model="fake"} 20.0' in text
