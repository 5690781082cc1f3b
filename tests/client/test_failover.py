"""Before the first words any node will do; who is asked next, for how long, and what is said when nobody answers."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tallynet.client.conversation import JobRefused, NodeRefused
from tallynet.protocol.errors import (
    Busy,
    InvalidChunk,
    InvalidFrame,
    InvalidJob,
    NodeUnreachable,
    NoNodes,
    Refused,
    TallyError,
)
from tallynet.protocol.leaf import Status
from tallynet.protocol.wire import INFO_PROTOCOL
from tests.client.scripted_node import TEXT, ScriptedNode, leaf_with, with_body
from tests.client.world import World

FIRST = {"tokens_per_second": 1000}
"""Makes a node the one that is asked first."""


def refusing(check: int, times: int = 99) -> list[TallyError]:
    return [InvalidJob("says the node", check=check) for _ in range(times)]


async def gone(_number: int, _attempt: int) -> None:
    raise NodeUnreachable("the node breaks off")


async def gone_before_the_first_chunk(number: int, _attempt: int) -> None:
    if number == 1:
        raise NodeUnreachable("the node breaks off")
    await trio.lowlevel.checkpoint()


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"disturb": gone}, NodeUnreachable),
        ({"disturb": gone_before_the_first_chunk}, NodeUnreachable),
        ({"refusals": [Busy("full", retry_after_ms=60_000)]}, Busy),
        ({"refusals": refusing(7)}, NodeRefused),
        ({"refusals": refusing(3)}, NodeRefused),
        ({"pieces": (), "change_leaf": leaf_with(status=Status.FAILED)}, Refused),
        ({"change_frame": lambda *_: b"\0\0\0\1\xc1"}, InvalidFrame),
        ({"change_frame": lambda frame, _: with_body(frame, text="altered")}, InvalidChunk),
    ],
    ids=[
        "unreachable",
        "gone after accepting",
        "busy",
        "too dear",
        "not its model",
        "broken engine",
        "nonsense",
        "altered chunk",
    ],
)
async def test_next_node_gets_the_same_job(world: World, settings: dict[str, Any], kind: type[TallyError]) -> None:
    bad = await world.node(**FIRST, **settings)
    good = await world.node()
    async with world.client() as client:
        answer = await client.ask("tally-tiny", "Japan?")

    assert answer.text == TEXT
    assert answer.node == good.key.address
    assert [(failure.node, type(failure.error)) for failure in answer.failures] == [(bad.key.address, kind)]
    assert good.submits == bad.submits


async def test_empty_answer_is_an_answer(world: World) -> None:
    """The model may end at once; nobody else need be asked."""
    await world.node(pieces=())
    async with world.client() as client:
        answer = await client.ask("tally-tiny", "Japan?")

    assert (answer.text, answer.tokens, answer.status) == ("", (), Status.EOS)
    assert answer.seconds_to_first_token is None
    assert answer.tokens_per_second is None


async def test_node_that_left_is_passed_over(world: World, autojump_clock: MockClock) -> None:
    left = await world.node(**FIRST)
    good = await world.node(knows=[left.advert()])
    world.net.cut(left.key.peer_id)
    async with world.client() as client:
        answer = await client.ask("tally-tiny", "Japan?")

    assert answer.node == good.key.address


async def test_named_node_has_no_substitute(world: World) -> None:
    bad = await world.node(disturb=gone)
    good = await world.node()
    async with world.client() as client:
        with pytest.raises(NodeUnreachable):
            await client.ask("tally-tiny", "Japan?", node=bad.key.address)

    assert good.submits == []


async def test_proven_fault_is_the_error_when_all_fail(world: World) -> None:
    nodes = [
        await world.node(tokens_per_second=1000, disturb=gone),
        await world.node(tokens_per_second=400, change_frame=lambda frame, _: with_body(frame, text="altered")),
        await world.node(tokens_per_second=100, refusals=refusing(7)),
    ]
    async with world.client() as client:
        with pytest.raises(InvalidChunk) as caught:
            await client.ask("tally-tiny", "Japan?")

    assert len(caught.value.__notes__) == 2
    assert all(len(node.submits) == 1 for node in nodes)


async def test_fault_of_the_job_itself_is_asked_of_two_nodes_only(world: World) -> None:
    nodes = [await world.node(refusals=refusing(5)) for _ in range(4)]
    async with world.client() as client:
        with pytest.raises(JobRefused, match="says the node"):
            await client.ask("tally-tiny", "Japan?")

    assert sum(len(node.submits) for node in nodes) == 2


async def test_one_node_alone_cannot_condemn_a_job(world: World) -> None:
    await world.node(**FIRST, refusals=refusing(5))
    good = await world.node()
    async with world.client() as client:
        answer = await client.ask("tally-tiny", "Japan?")

    assert answer.node == good.key.address


async def test_all_busy_waits_for_the_first_that_is_due(world: World, autojump_clock: MockClock) -> None:
    late = await world.node(**FIRST, refusals=[Busy("full", retry_after_ms=9000)])
    soon = await world.node(refusals=[Busy("full", retry_after_ms=3000)])
    late.refusals.append(Busy("full", retry_after_ms=9000))
    began = trio.current_time()
    async with world.client() as client:
        answer = await client.ask("tally-tiny", "Japan?")

    assert answer.node == soon.key.address
    assert 3 <= trio.current_time() - began < 4


async def test_busy_beyond_the_deadline_is_said_at_once(world: World, autojump_clock: MockClock) -> None:
    await world.node(refusals=[Busy("full", retry_after_ms=9000)])
    began = trio.current_time()
    async with world.client() as client:
        with pytest.raises(Busy) as caught:
            await client.ask("tally-tiny", "Japan?", deadline_seconds=5)

    assert caught.value.retry_after_ms == 9000
    assert trio.current_time() - began < 1


async def test_deadline_bounds_everything(world: World, autojump_clock: MockClock) -> None:
    await world.node(pause=60.0)
    await world.node(pause=60.0)
    began = trio.current_time()
    async with world.client() as client:
        with pytest.raises(NodeUnreachable, match="no whole answer after 7 s"):
            await client.ask("tally-tiny", "Japan?", deadline_seconds=7)

    assert trio.current_time() - began == pytest.approx(7, abs=0.1)


async def test_deadline_bounds_the_search_too(world: World, autojump_clock: MockClock) -> None:
    node = await world.node()
    node.transport.serve(INFO_PROTOCOL, lambda _: trio.sleep_forever())
    began = trio.current_time()
    async with world.client() as client:
        with pytest.raises(NodeUnreachable, match="no whole answer after 2 s"):
            await client.ask("tally-tiny", "Japan?", deadline_seconds=2)

    assert trio.current_time() - began == pytest.approx(2, abs=0.1)


async def test_ceiling_below_every_price_is_said_before_asking(world: World) -> None:
    node = await world.node()
    async with world.client() as client:
        with pytest.raises(NoNodes, match="its ceiling is 100 wei"):
            await client.ask("tally-tiny", "Japan?", max_price_wei=100)

    assert node.submits == []


async def test_many_questions_at_once(world: World) -> None:
    nodes = [await world.node(tokens_per_second=100 + number) for number in range(3)]
    texts: list[str] = []
    async with world.client() as client, trio.open_nursery() as nursery:

        async def ask() -> None:
            texts.append((await client.ask("tally-tiny", "Japan?")).text)

        for _ in range(20):
            nursery.start_soon(ask)

    assert texts == [TEXT] * 20
    assert all(_used(node) for node in nodes)


def _used(node: ScriptedNode) -> bool:
    return len(node.submits) > 0


async def test_a_refusal_names_the_rule_that_the_node_goes_by(world: World) -> None:
    await world.node(refusals=refusing(7))
    async with world.client() as client:
        with pytest.raises(NodeRefused) as refused:
            await client.ask("tally-tiny", "Japan?")

    assert refused.value.check == 7
