"""What a failing model runtime does to the generations it runs: they end with a typed error, others go on."""

from collections.abc import Callable
from threading import Event
from typing import Any

import pytest
import torch
import trio

from tallynet.engine import Engine, prefill, worker
from tallynet.engine.batch import SlotBatch
from tallynet.engine.prefill import Prefill
from tallynet.protocol.errors import Busy, TallyError, Unreachable
from tests.engine.conftest import Opened
from tests.engine.generations import Read, greedy, read

UNLUCKY = (13, 13, 13)

ERRORS = [
    (torch.OutOfMemoryError("CUDA out of memory"), Busy),
    (RuntimeError("CUDA error: unspecified launch failure"), Unreachable),
]


@pytest.fixture
async def running(engine: Opened, nursery: trio.Nursery) -> Engine:
    await nursery.start(engine("llama").run)
    return engine("llama")


def failing(monkeypatch: pytest.MonkeyPatch, name: str, fails: Callable[[Any], bool], error: Exception) -> None:
    """Let a method of the batch raise for some of its arguments."""
    honest = getattr(SlotBatch, name)

    def method(self: SlotBatch, argument: Any) -> Any:
        if fails(argument):
            raise error
        return honest(self, argument)

    monkeypatch.setattr(SlotBatch, name, method)


@pytest.mark.parametrize(("error", "kind"), ERRORS)
async def test_failed_prefill_ends_its_generation_only(
    running: Engine, monkeypatch: pytest.MonkeyPatch, error: Exception, kind: type[TallyError]
) -> None:
    expected = await read(running, greedy(max_tokens=60))
    failing(monkeypatch, "enter", lambda prefill: UNLUCKY in prefill.prompts, error)

    async with running.stream(greedy(max_tokens=60)) as pieces:
        first = await anext(pieces)
        with pytest.raises(kind):
            await read(running, greedy(UNLUCKY))
        rest = [piece async for piece in pieces]
    tokens = [token for piece in (first, *rest) for token in piece.tokens]
    assert tokens == expected.tokens


async def test_long_prompt_is_prefilled_between_the_steps_of_others(
    running: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    long, happened = tuple(range(3, 103)), list[str]()
    for module in (prefill, worker):
        monkeypatch.setattr(module, "PART_TOKENS", 10)

    def note_entering(prefill: Prefill) -> bool:
        happened.append("part" if prefill.prompts[0] == long else "other")
        return False

    def note_step(tokens: list[int]) -> bool:
        happened.append("step")
        return False

    failing(monkeypatch, "enter", note_entering, ERRORS[1][0])
    failing(monkeypatch, "step", note_step, ERRORS[1][0])
    async with running.stream(greedy(max_tokens=100)) as pieces:
        assert (await anext(pieces)).tokens
        assert len((await read(running, greedy(long, 2))).tokens) == 2

    first = happened.index("part")
    assert happened[first : first + 20] == ["part", "step"] * 10


async def test_one_prompt_that_fails_does_not_fail_those_prefilled_with_it(
    running: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = await read(running, greedy((9, 9, 9)))
    companies: list[int] = []
    failing(monkeypatch, "enter", lambda prefill: _unlucky(prefill.prompts, companies), ERRORS[1][0])
    all_here = Event()
    failing(monkeypatch, "step", lambda tokens: not all_here.wait(10), RuntimeError("they never came"))
    answers, refused = list[Read](), list[Exception]()

    async def ask(prompt: tuple[int, ...]) -> None:
        try:
            answers.append(await read(running, greedy(prompt)))
        except Unreachable as error:
            refused.append(error)

    async with running.stream(greedy(max_tokens=60)), trio.open_nursery() as readers:
        for prompt in ((9, 9, 9), UNLUCKY, (9, 9, 9)):
            readers.start_soon(ask, prompt)
        with trio.fail_after(30):
            while running.load().waiting < 3:
                await trio.sleep(0.001)
        all_here.set()

    assert max(companies) > 1
    assert len(refused) == 1
    assert [answer.tokens for answer in answers] == [expected.tokens] * 2


def _unlucky(prompts: list[tuple[int, ...]], companies: list[int]) -> bool:
    """Notes how many prompts are prefilled together, when the unlucky one is among them."""
    if UNLUCKY in prompts:
        companies.append(len(prompts))
    return UNLUCKY in prompts


@pytest.mark.parametrize(("error", "kind"), ERRORS)
async def test_failed_step_ends_the_generations_that_share_it_and_the_engine_goes_on(
    running: Engine, monkeypatch: pytest.MonkeyPatch, error: Exception, kind: type[TallyError]
) -> None:
    with monkeypatch.context() as broken:
        failing(broken, "step", lambda tokens: True, error)
        async with running.stream(greedy()) as pieces:
            assert (await anext(pieces)).tokens
            with pytest.raises(kind):
                await anext(pieces)
            with pytest.raises(StopAsyncIteration):
                await anext(pieces)

    assert running.load().running == 0
    assert len((await read(running, greedy())).tokens) == 24
