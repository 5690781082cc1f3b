"""Many questions at once, each with its own answer or its own error."""

import pytest
import trio
from trio.testing import MockClock

from tallynet.client import Answer
from tallynet.client.batch import ask_all
from tallynet.protocol.errors import Busy, TallyError
from tests.client.hosted import HostedTransport
from tests.client.scripted_node import TEXT
from tests.client.world import World

QUESTIONS = [f"Question {number}?" for number in range(20)]


async def test_answers_come_in_the_order_of_the_questions(world: World, autojump_clock: MockClock) -> None:
    node = await world.node(pause=0.1)
    told: list[int] = []
    async with world.client() as client:
        outcomes = await client.ask_many("tally-tiny", QUESTIONS, at_once=4, tell=told.append)

    asked = node.runs
    for question, outcome in zip(QUESTIONS, outcomes, strict=True):
        assert isinstance(outcome, Answer) and outcome.text == TEXT
        assert question.encode() in asked[outcome.job].submit.request
    assert told == list(range(1, 21))


async def test_one_that_fails_ends_no_other(world: World, autojump_clock: MockClock) -> None:
    await world.node(refusals=[Busy("full", retry_after_ms=10**8)])
    async with world.client() as client:
        outcomes = await client.ask_many("tally-tiny", QUESTIONS)

    assert sum(isinstance(outcome, Busy) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, Answer) for outcome in outcomes) == 19


async def test_at_least_one_at_a_time(world: World) -> None:
    await world.node()
    async with world.client() as client:
        with pytest.raises(ValueError):
            await client.ask_many("tally-tiny", QUESTIONS, at_once=0)


def test_the_bar_is_on_stderr_and_only_when_it_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    with HostedTransport({}).client() as client:
        quiet = client.ask_many("tally-tiny", QUESTIONS[:2])
        silence = capsys.readouterr()
        client.ask_many("tally-tiny", QUESTIONS[:2], progress=True)
        shown = capsys.readouterr()

    assert not any(isinstance(outcome, TallyError) for outcome in quiet)
    assert (silence.out, silence.err, shown.out) == ("", "", "")
    assert "Asking" in shown.err and "100%" in shown.err


async def test_of_those_that_belong_together_the_first_that_fails_ends_the_others(autojump_clock: MockClock) -> None:
    ended: list[int] = []

    async def ask(seconds: int) -> int:
        try:
            await trio.sleep(seconds)
        except trio.Cancelled:
            ended.append(seconds)
            raise
        if seconds == 3:
            raise Busy("full", retry_after_ms=1)
        return 10 * seconds

    assert await ask_all(ask, [5, 1, 4], 2) == [50, 10, 40]
    with pytest.raises(Busy):
        await ask_all(ask, [5, 1, 3, 9], 3)

    assert sorted(ended) == [5, 9]
