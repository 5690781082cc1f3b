"""The models of one node: told apart by id and by name, run together, each by its own queue."""

from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from tallynet.engine import FakeEngine
from tallynet.node.config import NodeConfig
from tallynet.node.desk import Desk
from tallynet.node.engines import Engines, Served
from tallynet.node.run import Run
from tallynet.protocol.errors import Busy, InvalidJob, Misconfigured, Unreachable
from tallynet.protocol.job import Task
from tallynet.protocol.leaf import Status
from tallynet.protocol.units import Digest, ModelId, Wei, prefixed
from tallynet.protocol.wire import Finished, Submit
from tests.node.examples import MODEL, HeldEngine, open_desk, valid_config, valid_submit

PARROT = FakeEngine("parrot").info.model


@pytest.fixture
def config(tmp_path: Path) -> NodeConfig:
    return valid_config(tmp_path, prompt_price_wei=2, completion_price_wei=7)


def test_engines_are_found_by_the_ids_of_their_models(config: NodeConfig) -> None:
    fake, parrot = FakeEngine(), FakeEngine("parrot")
    engines = Engines.of(config, fake, parrot)

    assert [served.name for served in engines] == ["fake", "parrot"]
    assert (engines.first.engine, len(engines)) == (fake, 2)
    found = engines.get(PARROT)
    assert found is not None and found.engine is parrot
    assert engines.get(ModelId(bytes(32))) is None


def test_a_node_without_a_model_is_none(config: NodeConfig) -> None:
    with pytest.raises(Misconfigured, match="serves no model"):
        Engines.of(config)


def test_the_same_model_twice_is_refused(config: NodeConfig) -> None:
    with pytest.raises(Misconfigured, match=f"{prefixed(PARROT)} is named 2 times"):
        Engines.of(config, FakeEngine("parrot"), FakeEngine(), FakeEngine("parrot", slots=1))


def test_two_models_of_one_name_are_refused(config: NodeConfig) -> None:
    class Namesake(FakeEngine):
        """Another model under the usual name."""

        def __init__(self) -> None:
            super().__init__("other")
            self._info = replace(self._info, name="fake")

    with pytest.raises(Misconfigured, match="2 of the models are called 'fake'") as caught:
        Engines.of(config, FakeEngine(), Namesake())
    assert "Rename" in caught.value.remedy


def test_every_model_has_its_own_price() -> None:
    offer = Served(FakeEngine(slots=4), Wei(1), Wei(2)).offer(5)

    assert (offer.prompt_price, offer.completion_price) == (1, 2)
    assert (offer.slots, offer.free_slots, offer.waiting, offer.task) == (4, 0, 1, Task.GENERATE)


async def test_all_run_and_all_are_ready_when_they_say_so(config: NodeConfig) -> None:
    engines = Engines.of(config, FakeEngine(), FakeEngine("parrot"))
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(_run, engines))
        assert all(served.engine._running for served in engines if isinstance(served.engine, FakeEngine))
        nursery.cancel_scope.cancel()
    assert not any(served.engine._running for served in engines if isinstance(served.engine, FakeEngine))


async def _run(engines: Engines, *, task_status: trio.TaskStatus[None]) -> None:
    await engines.run(task_status=task_status)


# A desk with two models: `fake`, which is held up, and `parrot`.


@pytest.fixture
def engine() -> HeldEngine:
    return HeldEngine(slots=2)


@pytest.fixture
async def desk(tmp_path: Path, engine: HeldEngine) -> AsyncIterator[Desk]:
    async with open_desk(tmp_path, engine, FakeEngine("parrot", end_every=10**9), queue=1) as desk:
        yield desk


def job(number: int = 0, model: ModelId = MODEL) -> Submit:
    return valid_submit(nonce=Digest(number.to_bytes(32)), model=model)


async def ending(run: Run) -> Finished:
    await run.ended()
    last = run.frames[-1]
    assert isinstance(last, Finished)
    return last


async def test_each_job_runs_on_its_own_model(steady_clock: MockClock, desk: Desk, engine: HeldEngine) -> None:
    engine.go.set()
    leaves = []
    for model in (MODEL, PARROT):
        run = await desk.take(job(model=model))
        await ending(run)
        entry = await desk.worker.journal.entry(run.job.id)
        assert entry is not None
        leaves.append(entry.leaf)

    assert [leaf.model for leaf in leaves] == [MODEL, PARROT]
    assert engine.streams == 1


async def test_an_unknown_model_is_refused_with_the_names_of_those_on_offer(
    steady_clock: MockClock, desk: Desk
) -> None:
    unknown = ModelId(bytes(32))

    with pytest.raises(InvalidJob, match=f"model {unknown.hex()} .* serves fake .*, parrot ") as caught:
        await desk.take(job(model=unknown))

    assert caught.value.check == 3
    assert desk.runs == {}


async def test_a_full_queue_of_one_model_leaves_the_other_open(
    steady_clock: MockClock, desk: Desk, engine: HeldEngine
) -> None:
    runs = [await desk.take(job(number)) for number in range(3)]
    with pytest.raises(Busy, match=r"^\(8\) 3 jobs of this model"):
        await desk.take(job(3))

    await ending(await desk.take(job(4, PARROT)))
    assert (desk.taken[MODEL], desk.taken[PARROT]) == (3, 0)

    engine.go.set()
    for run in runs:
        await ending(run)
    await ending(await desk.take(job(3)))
    assert desk.runs == {} and not any(desk.taken.values())


async def test_an_engine_that_fails_ends_its_own_jobs_alone(
    steady_clock: MockClock, desk: Desk, engine: HeldEngine
) -> None:
    engine.fault = Unreachable("the engine was stopped")
    failing = await desk.take(job())
    engine.go.set()
    await ending(failing)
    fine = await desk.take(job(1, PARROT))
    await ending(fine)

    statuses = []
    for run in (failing, fine):
        entry = await desk.worker.journal.entry(run.job.id)
        assert entry is not None
        statuses.append(entry.leaf.status)
    assert statuses == [Status.FAILED, Status.LENGTH]


async def test_jobs_are_counted_by_model(steady_clock: MockClock, desk: Desk, engine: HeldEngine) -> None:
    await ending(await desk.take(job(0, PARROT)))
    await ending(await desk.take(job(1, PARROT)))
    engine.go.set()
    await ending(await desk.take(job(2)))
    text = desk.metrics.text().decode()

    assert 'tallynet_jobs_total{model="parrot",status="length"} 2.0' in text
    assert 'tallynet_completion_tokens_total{model="fake"} 20.0' in text


async def test_a_restarted_node_answers_from_the_log_what_a_model_said_that_it_no_longer_serves(
    steady_clock: MockClock, tmp_path: Path
) -> None:
    async with open_desk(tmp_path, FakeEngine(), FakeEngine("parrot")) as desk:
        before = await ending(await desk.take(job(model=PARROT)))
    async with open_desk(tmp_path, FakeEngine()) as desk:
        assert await ending(await desk.take(job(model=PARROT))) == before
        with pytest.raises(InvalidJob, match="serves fake"):
            await desk.take(job(1, PARROT))
