"""What a failing model runtime does to the generations it runs: they end with a typed error, others go on."""

from collections.abc import Callable, Sequence

import pytest
import torch
import trio

from tallynet.engine import Engine
from tallynet.engine.batch import SlotBatch
from tallynet.protocol.errors import Busy, TallyError, Unreachable
from tallynet.protocol.units import TokenIds
from tests.engine.conftest import Opened
from tests.engine.generations import greedy, read

UNLUCKY = (13, 13, 13)

ERRORS = [
    (torch.OutOfMemoryError("CUDA out of memory"), Busy),
    (RuntimeError("CUDA error: unspecified launch failure"), Unreachable),
]


@pytest.fixture
async def running(engine: Opened, nursery: trio.Nursery) -> Engine:
    await nursery.start(engine("llama").run)
    return engine("llama")


def failing(
    monkeypatch: pytest.MonkeyPatch, name: str, fails: Callable[[Sequence[int]], bool], error: Exception
) -> None:
    """Let a method of the batch raise for some of its arguments."""
    honest = getattr(SlotBatch, name)

    def method(self: SlotBatch, tokens: TokenIds) -> torch.Tensor:
        if fails(tokens):
            raise error
        return honest(self, tokens)  # type: ignore[no-any-return]

    monkeypatch.setattr(SlotBatch, name, method)


@pytest.mark.parametrize(("error", "kind"), ERRORS)
async def test_failed_prefill_ends_its_generation_only(
    running: Engine, monkeypatch: pytest.MonkeyPatch, error: Exception, kind: type[TallyError]
) -> None:
    expected = await read(running, greedy(max_tokens=60))
    failing(monkeypatch, "join", lambda tokens: tuple(tokens) == UNLUCKY, error)

    async with running.stream(greedy(max_tokens=60)) as pieces:
        first = await anext(pieces)
        with pytest.raises(kind):
            await read(running, greedy(UNLUCKY))
        rest = [piece async for piece in pieces]
    tokens = [token for piece in (first, *rest) for token in piece.tokens]
    assert tokens == expected.tokens


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
