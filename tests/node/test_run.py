"""A run is told from its first word to everyone who follows it, whenever they come."""

from contextlib import aclosing

import pytest
import trio
import trio.testing

from tallynet.node.run import Run
from tallynet.protocol.errors import Busy
from tallynet.protocol.job import verify_job
from tallynet.protocol.leaf import Status
from tallynet.protocol.wire import Accepted, Frame, Rejected
from tests.node.examples import DOMAIN, valid_submit


@pytest.fixture
def run() -> Run:
    return Run(verify_job(valid_submit().signed, DOMAIN))


def news(run: Run, number: int) -> Accepted:
    return Accepted(run.job.id, (number,), 0)


async def everything(run: Run) -> list[Frame]:
    async with aclosing(run.follow()) as frames:
        return [frame async for frame in frames]


async def test_early_and_late_followers_hear_the_same(run: Run) -> None:
    heard: list[list[Frame]] = []

    async def follow() -> None:
        heard.append(await everything(run))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(follow)
        await trio.testing.wait_all_tasks_blocked()
        run.say(news(run, 1))
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(follow)
        await trio.testing.wait_all_tasks_blocked()
        assert run.followers == 2
        run.refuse(Busy("no", retry_after_ms=7))
    await follow()

    assert heard == [[news(run, 1), Rejected("busy", 0, "no", 7)]] * 3
    assert run.followers == 0


async def test_a_cancelled_follower_is_not_counted(run: Run) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(everything, run)
        await trio.testing.wait_all_tasks_blocked()
        assert run.followers == 1
        nursery.cancel_scope.cancel()

    assert run.followers == 0


async def test_ended_waits_for_the_last_frame(run: Run) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run.ended)
        await trio.testing.wait_all_tasks_blocked()
        run.say(news(run, 1))
        await trio.testing.wait_all_tasks_blocked()
        assert nursery.child_tasks
        run.refuse(Busy("no", retry_after_ms=7))

    await run.ended()
    assert run.done


async def test_the_first_reason_to_stop_counts(run: Run) -> None:
    run.stop(Status.CANCELLED)
    run.stop(Status.SHUTDOWN)

    assert run.cut_short is Status.CANCELLED
    assert run.scope.cancel_called


async def test_a_run_that_is_over_cannot_be_stopped(run: Run) -> None:
    run.refuse(Busy("no", retry_after_ms=7))

    run.stop(Status.CANCELLED)

    assert run.cut_short is None
    assert not run.scope.cancel_called
