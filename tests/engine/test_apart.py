"""An engine in a process of its own says what the engine inside says, and its node outlives it."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import cast

import pytest
import trio
from trio.testing import MockClock

from tallynet.engine import open_engine
from tallynet.engine import process as process_module
from tallynet.engine.apart import ApartEngine
from tallynet.engine.engine import EngineInfo
from tallynet.engine.evidence import read_records
from tallynet.engine.line import Admitted, Decoder, Failed, FromEngine, encode, error_of, failure
from tallynet.protocol.errors import Busy, InvalidJob, Misconfigured, TallyError, Unreachable
from tallynet.protocol.request import Bias, Message, Request
from tallynet.protocol.units import Digest
from tests.engine.conftest import Directory, Opened
from tests.engine.generations import Read, greedy, read, sampled

SECONDS = 60
"""No step of a test takes nearly so long, a model's start included."""


@pytest.fixture(scope="module")
def directory(checkpoint: Directory) -> str:
    return str(checkpoint("llama"))


@pytest.fixture
async def apart(directory: str, nursery: trio.Nursery) -> AsyncIterator[ApartEngine]:
    engine = open_engine(directory, slots=4, apart=True)
    assert isinstance(engine, ApartEngine)
    await nursery.start(engine.run)
    yield engine


async def test_its_answers_are_those_of_the_engine_inside(apart: ApartEngine, engine: Opened) -> None:
    inside = engine("llama")
    async with trio.open_nursery() as nursery:
        await nursery.start(inside.run)
        for generation in (greedy(), sampled(7)):
            here, there = await read(inside, generation), await read(apart, generation)
            assert (there.tokens, there.text, there.finish) == (here.tokens, here.text, here.finish)
            # each measures for itself how many threads pay, and sums run in another order on another number of them
            assert there.logprobs == pytest.approx(here.logprobs, abs=1e-4)
            assert len(read_records(there.evidence)) == len(read_records(here.evidence)) == 2
        nursery.cancel_scope.cancel()
    assert on_any_threads(apart.info) == on_any_threads(inside.info)
    assert apart.load().running == apart.load().waiting == 0


def on_any_threads(info: EngineInfo) -> EngineInfo:
    """The same of an engine that had measured that another number of threads pays."""
    environment = {**json.loads(info.environment), "threads": 0}
    return replace(info, environment=json.dumps(environment), runtime=Digest(bytes(32)))


async def test_wishes_reach_the_engine_inside(apart: ApartEngine) -> None:
    asked = Request(messages=(Message("user", "word"),), schema='{"enum": [true, "yes"]}')
    answer = await read(apart, replace(sampled(7, await apart.tokenize(asked)), schema=asked.schema))
    biased = await read(apart, replace(greedy(), logit_bias=(Bias(99, 100_000_000),)))

    assert answer.text in ("true", '"yes"')
    assert set(biased.tokens) == {99}
    with pytest.raises(InvalidJob, match="Unimplemented keys") as refused:
        await apart.tokenize(Request(text="x", schema='{"not": {}}'))
    assert refused.value.check == 9


async def test_it_tokenizes_and_refuses_as_the_engine_inside(apart: ApartEngine, engine: Opened) -> None:
    short, long = (Request(messages=(Message("user", "word " * times),)) for times in (2, 2000))

    assert await apart.tokenize(short) == await engine("llama").tokenize(short)
    with pytest.raises(InvalidJob, match="this model holds 128"):
        await apart.tokenize(long)
    with pytest.raises(InvalidJob, match="prompt is empty"):
        await read(apart, greedy(()))


async def test_leaving_a_stream_frees_its_slot(apart: ApartEngine) -> None:
    with trio.fail_after(SECONDS):
        for _ in range(2 * apart.info.slots):
            async with apart.stream(greedy((9,), max_tokens=110)) as pieces:
                await anext(pieces)
                assert apart.load().running == 1


async def test_killed_process_ends_its_generations_and_another_one_goes_on(apart: ApartEngine) -> None:
    expected, killed = await read(apart, greedy((9,), max_tokens=110)), apart.pid
    with trio.fail_after(SECONDS), pytest.raises(Unreachable, match="engine was stopped"):
        async with apart.stream(greedy((9,), max_tokens=110)) as pieces:
            await anext(pieces)
            os.kill(killed, signal.SIGKILL)
            async for _ in pieces:
                pass

    with trio.fail_after(SECONDS):
        assert (await _read_with_patience(apart)).tokens == expected.tokens
    assert apart.pid != killed


async def test_a_process_that_is_refused_at_its_restart_is_started_again(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """It started once with the same settings, so a refusal is about the moment: the memory, or files in the middle of
    a copy. The other models of the node go on."""
    answers: list[TallyError | str] = [Misconfigured("4 slots of 128 tokens need 9 GB"), Unreachable("gone"), "a child"]

    async def start(settings: str) -> str:
        await trio.lowlevel.checkpoint()
        if isinstance(answer := answers.pop(0), TallyError):
            raise answer
        return answer

    monkeypatch.setattr(process_module, "_start_again", start)
    began = trio.current_time()

    assert cast(object, await process_module.start_patiently("{}")) == "a child"
    assert trio.current_time() - began >= 1 + 2 + 4


async def test_a_restart_that_is_cancelled_ends_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that is stopped meanwhile does not wait for a model that takes minutes to load."""
    line, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(["sleep", "1000"], pass_fds=[theirs.fileno()])
    monkeypatch.setattr(process_module, "_spawn", lambda settings: (process, line))

    with trio.fail_after(SECONDS), trio.move_on_after(0.1) as scope:
        await process_module._start_again("{}")

    assert scope.cancelled_caught
    assert await trio.to_thread.run_sync(process.wait, SECONDS) == -signal.SIGKILL


async def _read_with_patience(apart: ApartEngine) -> Read:
    while True:
        try:
            return await read(apart, greedy((9,), max_tokens=110))
        except (Busy, Unreachable):
            await trio.sleep(0.1)


async def test_signals_of_the_terminal_do_not_end_it(apart: ApartEngine) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(apart.pid, number)

    assert (await read(apart, greedy())).tokens


async def test_process_ends_with_its_engine(directory: str) -> None:
    engine = open_engine(directory, slots=1, apart=True)
    assert isinstance(engine, ApartEngine)
    async with trio.open_nursery() as nursery:
        await nursery.start(engine.run)
        nursery.cancel_scope.cancel()

    with pytest.raises(ProcessLookupError):
        os.kill(engine.pid, 0)


def test_model_that_cannot_be_loaded_is_misconfigured_as_in_one_process(directory: str) -> None:
    with pytest.raises(Misconfigured, match="dtype 'float17'"):
        open_engine(directory, dtype="float17", apart=True)


def test_process_that_ends_at_once_says_how(directory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")

    with pytest.raises(Unreachable, match="ended with code 1 while it loaded"):
        open_engine(directory, apart=True)


@pytest.mark.parametrize(
    "error",
    [
        InvalidJob("too long", check=2, remedy="Shorten it."),
        Busy("full", retry_after_ms=70),
        Unreachable("gone"),
        Misconfigured("no such device"),
    ],
)
def test_errors_cross_the_line_whole(error: TallyError) -> None:
    there = error_of(failure(3, error))

    assert (type(there), there.message, there.remedy) == (type(error), error.message, error.remedy)
    assert getattr(there, "check", None) == getattr(error, "check", None)
    assert getattr(there, "retry_after_ms", None) == getattr(error, "retry_after_ms", None)


def test_messages_are_whole_however_they_are_cut() -> None:
    said = [Admitted(1), Failed(2, "busy", "full", "", 5), Admitted(3)]
    data = b"".join(map(encode, said))

    for width in range(1, len(data) + 1):
        decoder = Decoder[FromEngine](FromEngine)
        heard = [message for at in range(0, len(data), width) for message in decoder.feed(data[at : at + width])]
        assert heard == said
