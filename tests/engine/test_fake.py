"""The stand-in: deterministic, on virtual time, with the manners of a real engine."""

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from tallynet.engine import FakeEngine, Finish
from tallynet.engine.fake import decode, encode
from tallynet.protocol.errors import InvalidJob, Unreachable
from tallynet.protocol.request import Message, Request
from tests.engine.generations import greedy, read, sampled


@given(st.text(max_size=60))
def test_decode_reverses_encode(text: str) -> None:
    assert decode(encode(text)) == text


def test_words_are_single_tokens() -> None:
    assert len(encode(" the world zebra")) == 2 + len(" zebra")


async def test_messages_and_text_are_tokenized() -> None:
    engine = FakeEngine()

    assert decode(await engine.tokenize(Request(messages=(Message("user", "hi"),)))) == "user: hi\nassistant:"
    assert decode(await engine.tokenize(Request(text="once upon"))) == "once upon"


def test_same_name_is_the_same_model() -> None:
    assert FakeEngine("one").info.model == FakeEngine("one", slots=9).info.model != FakeEngine("two").info.model


async def test_too_long_a_request_is_refused() -> None:
    with pytest.raises(InvalidJob):
        await FakeEngine(context_length=8).tokenize(Request(text="0123456789"))


async def test_answer_follows_from_name_prompt_and_seed(nursery: trio.Nursery) -> None:
    engine, twin, other = FakeEngine(), FakeEngine(), FakeEngine("other")
    for each in (engine, twin, other):
        await nursery.start(each.run)
    answer = await read(engine, sampled(1))

    assert (await read(twin, sampled(1))).pieces == answer.pieces
    for different in (
        await read(engine, sampled(2)),
        await read(engine, sampled(1, (1, 2))),
        await read(other, sampled(1)),
    ):
        assert different.tokens != answer.tokens
    assert (await read(engine, greedy())).tokens == (await read(engine, greedy())).tokens


async def test_answers_end_in_every_way(nursery: trio.Nursery) -> None:
    engine = FakeEngine(end_every=8)
    await nursery.start(engine.run)
    answers = [await read(engine, sampled(number)) for number in range(30)]
    stopped = await read(engine, greedy(stop=(answers[0].text[-4:], " ")))

    assert {answer.finish for answer in answers} == {Finish.EOS, Finish.LENGTH}
    assert stopped.finish is Finish.STOP


async def test_speed_is_virtual(autojump_clock: trio.testing.MockClock, nursery: trio.Nursery) -> None:
    engine = FakeEngine(tokens_per_second=128, end_every=10**9)
    await nursery.start(engine.run)
    began = trio.current_time()
    answer = await read(engine, sampled(1, max_tokens=640))

    assert len(answer.tokens) == 640
    assert trio.current_time() - began == pytest.approx(5, abs=1e-6)
    assert [len(piece.tokens) for piece in answer.pieces[:4]] == [1, 6, 6, 6]


async def test_slots_are_waited_for_in_order(autojump_clock: trio.testing.MockClock, nursery: trio.Nursery) -> None:
    engine = FakeEngine(slots=2, tokens_per_second=10, end_every=10**9)
    await nursery.start(engine.run)
    ends: list[tuple[int, float]] = []

    async def run(number: int) -> None:
        await read(engine, sampled(number, max_tokens=10))
        ends.append((number, trio.current_time()))

    began = trio.current_time()
    async with trio.open_nursery() as readers:
        for number in range(4):
            readers.start_soon(run, number)
            await trio.sleep(0.01)
        assert (engine.load().running, engine.load().waiting) == (2, 2)
    assert [number for number, _ in ends] == [0, 1, 2, 3]
    assert ends[-1][1] - began == pytest.approx(2, abs=0.05)


async def test_leaving_a_stream_frees_its_slot(autojump_clock: trio.testing.MockClock, nursery: trio.Nursery) -> None:
    engine = FakeEngine(slots=1, tokens_per_second=1)
    await nursery.start(engine.run)
    with trio.move_on_after(1.5):
        await read(engine, sampled(1))

    assert engine.load().running == 0


async def test_stopping_the_engine_ends_its_streams(autojump_clock: trio.testing.MockClock) -> None:
    engine = FakeEngine(tokens_per_second=1)
    async with trio.open_nursery() as nursery:
        await nursery.start(engine.run)
        async with engine.stream(sampled(1)) as pieces:
            await anext(pieces)
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True), pytest.raises(Unreachable):
                await anext(pieces)


async def test_stream_without_run_is_a_bug() -> None:
    with pytest.raises(RuntimeError, match="not running"):
        async with FakeEngine().stream(greedy()):
            pass
