"""After the first words only the same node can go on, with the same job: nothing is run or paid twice."""

from collections.abc import Awaitable, Callable

import pytest
import trio
from trio.testing import MockClock

from tallynet.protocol.chunk import ChunkBody
from tallynet.protocol.errors import Busy, InvalidChunk, InvalidFrame, InvalidReceipt, NodeUnreachable
from tallynet.protocol.leaf import Status
from tallynet.protocol.units import Digest
from tallynet.protocol.wire import Accepted, Frame
from tests.client.scripted_node import PIECES, TEXT, leaf_with
from tests.client.world import World

OTHER_PIECES = (PIECES[0], ChunkBody((99,), " of China", (-1.0,)))


def gone_at(number: int, *attempts: int) -> Callable[[int, int], Awaitable[None]]:
    """Breaks off before message `number` of these attempts, of all when none is given."""

    async def disturb(at: int, attempt: int) -> None:
        await trio.lowlevel.checkpoint()
        if at == number and (not attempts or attempt in attempts):
            raise NodeUnreachable("the node breaks off")

    return disturb


@pytest.mark.parametrize("number", [2, 3, 4], ids=["after one chunk", "after two", "before the receipt"])
async def test_lost_connection_is_taken_up_again(world: World, autojump_clock: MockClock, number: int) -> None:
    node = await world.node(disturb=gone_at(number, 1, 2))
    pieces = []
    async with world.client() as client, client.stream("tally-tiny", "Japan?") as stream:
        async for piece in stream:
            pieces.append(piece)

    assert pieces == [body.text for body in PIECES]
    assert len(node.submits) == 3
    assert node.submits[0] == node.submits[1] == node.submits[2]
    assert node.log.size == 1
    assert stream.answer.failures == ()


async def test_silent_node_is_asked_again(world: World, autojump_clock: MockClock) -> None:
    async def hang(number: int, attempt: int) -> None:
        await trio.sleep_forever() if (number, attempt) == (2, 1) else await trio.lowlevel.checkpoint()

    node = await world.node(disturb=hang)
    async with world.client() as client:
        answer = await client.ask("tally-tiny", "Japan?")

    assert answer.text == TEXT
    assert len(node.submits) == 2


async def test_busy_node_is_given_its_time(world: World, autojump_clock: MockClock) -> None:
    node = await world.node(disturb=gone_at(2, 1))
    async with world.client() as client, client.stream("tally-tiny", "Japan?") as stream:
        node.refusals = [Busy("starting", retry_after_ms=5000)]
        began = trio.current_time()
        answer = await stream.finish()

    assert answer.text == TEXT
    assert trio.current_time() - began >= 5


async def test_no_other_node_takes_over(world: World, autojump_clock: MockClock) -> None:
    await world.node(tokens_per_second=1000, disturb=gone_at(2))
    other = await world.node()
    async with world.client() as client:
        with pytest.raises(NodeUnreachable):
            await client.ask("tally-tiny", "Japan?")

    assert other.submits == []


async def test_node_gone_for_good_is_given_up_before_the_deadline(world: World, autojump_clock: MockClock) -> None:
    node = await world.node(disturb=gone_at(2))
    began = trio.current_time()
    async with world.client() as client, client.stream("tally-tiny", "Japan?") as stream:
        with pytest.raises(NodeUnreachable):
            await stream.finish()

    assert stream.text == PIECES[0].text
    assert 5 < trio.current_time() - began < 30
    assert len({submit.signed.signature for submit in node.submits}) == 1


async def test_deadline_bounds_the_retries(world: World, autojump_clock: MockClock) -> None:
    await world.node(disturb=gone_at(2))
    began = trio.current_time()
    async with world.client() as client:
        with pytest.raises(NodeUnreachable, match="no whole answer after 3 s"):
            await client.ask("tally-tiny", "Japan?", deadline_seconds=3)

    assert trio.current_time() - began == pytest.approx(3, abs=0.1)


async def test_invalid_chunk_replaced_on_retry(world: World, autojump_clock: MockClock) -> None:
    await world.node(disturb=gone_at(3, 1), pieces_on_retry=OTHER_PIECES)
    async with world.client() as client:
        with pytest.raises(InvalidChunk, match="two different chunks 1") as caught:
            await client.ask("tally-tiny", "Japan?")

    assert caught.value.check == 7
    one, other = caught.value.evidence["one"], caught.value.evidence["other"]
    assert (one.body, other.body) == (PIECES[1], OTHER_PIECES[1])  # type: ignore[attr-defined]
    assert one.signature != other.signature  # type: ignore[attr-defined]


async def test_invalid_receipt_for_less_than_was_streamed(world: World, autojump_clock: MockClock) -> None:
    await world.node(disturb=gone_at(3, 1), pieces_on_retry=PIECES[:1])
    async with world.client() as client:
        with pytest.raises(InvalidReceipt, match="commits to 1 chunks, 2 were streamed") as caught:
            await client.ask("tally-tiny", "Japan?")

    assert caught.value.check == 13


async def test_invalid_prompt_on_retry(world: World, autojump_clock: MockClock) -> None:
    def change(frame: Frame, attempt: int) -> Frame:
        return Accepted(frame.job, (1, 2), 0) if isinstance(frame, Accepted) and attempt == 2 else frame

    await world.node(disturb=gone_at(2, 1), change_frame=change)
    async with world.client() as client:
        with pytest.raises(InvalidFrame, match="another prompt") as caught:
            await client.ask("tally-tiny", "Japan?")

    assert caught.value.check == 5


# --- cancelling ------------------------------------------------------------------------------------------


async def test_leaving_early_cancels_and_brings_the_receipt(world: World, autojump_clock: MockClock) -> None:
    node = await world.node(pause=1.0)
    async with world.client() as client:
        async with client.stream("tally-tiny", "Japan?") as stream:
            async for _ in stream:
                break
        left = trio.current_time()
        assert stream.finished
        assert stream.answer.status is Status.CANCELLED
        assert stream.answer.usage.completion_tokens == len(stream.answer.tokens)
        assert trio.current_time() == left

    assert node.runs[stream.answer.job].cancelled


@pytest.mark.parametrize("seconds", [0.5, 1.5, 2.5], ids=["before the first piece", "after it", "later"])
async def test_cancelling_in_the_middle_of_a_message_does_the_same(
    world: World, autojump_clock: MockClock, seconds: float
) -> None:
    """A cancelled read may lose part of a message: the run is attached to again, and then cancelled."""
    node = await world.node(pause=1.0)
    async with world.client() as client:
        stream = client.stream("tally-tiny", "Japan?")
        with trio.move_on_after(seconds) as scope:
            async with stream:
                await stream.finish()
        assert scope.cancelled_caught

    assert next(iter(node.runs.values())).cancelled
    assert stream.finished
    assert stream.answer.status is Status.CANCELLED
    assert node.log.size == 1


async def test_error_in_the_block_cancels_too(world: World, autojump_clock: MockClock) -> None:
    node = await world.node(pause=1.0)
    async with world.client() as client:
        with pytest.raises(ZeroDivisionError):
            async with client.stream("tally-tiny", "Japan?") as stream:
                print(1 / 0)

    assert next(iter(node.runs.values())).cancelled
    assert stream.finished


async def test_node_that_ignores_a_cancel_costs_two_seconds(world: World, autojump_clock: MockClock) -> None:
    async def hang(number: int, _attempt: int) -> None:
        await trio.sleep_forever() if number == 2 else await trio.lowlevel.checkpoint()

    await world.node(disturb=hang)
    async with world.client() as client:
        async with client.stream("tally-tiny", "Japan?") as stream:
            began = trio.current_time()
        assert trio.current_time() - began == pytest.approx(2, abs=0.1)

    with pytest.raises(NodeUnreachable, match="left before"):
        print(stream.answer)


async def test_invalid_receipt_of_a_cancelled_job_is_no_answer(world: World, autojump_clock: MockClock) -> None:
    await world.node(pause=1.0, change_leaf=leaf_with(output=Digest(bytes(32))))
    async with world.client() as client, client.stream("tally-tiny", "Japan?") as stream:
        await anext(stream)

    assert not stream.finished


async def test_reading_on_after_leaving_yields_nothing(world: World, autojump_clock: MockClock) -> None:
    await world.node(pause=1.0)
    async with world.client() as client:
        async with client.stream("tally-tiny", "Japan?") as stream:
            await anext(stream)
        rest = [piece async for piece in stream]

    assert rest == []
