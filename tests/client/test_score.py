"""Given texts scored on the network: one job each, verified; what is no score is the node's fault."""

import dataclasses
import math
from typing import Any

import pytest
from msgspec.structs import replace as changed

from tallynet.client import Score
from tallynet.protocol.chunk import ChunkBody
from tallynet.protocol.errors import InvalidChunk, InvalidJob, InvalidReceipt, NodeUnreachable, NoNodes
from tallynet.protocol.job import Task
from tallynet.protocol.leaf import Leaf, Status
from tallynet.protocol.request import Request, decode_request
from tallynet.protocol.score import SCORE_SAMPLING
from tallynet.protocol.units import Milliseconds, Wei
from tests.client.hosted import HostedTransport
from tests.client.scripted_node import PROMPT
from tests.client.world import World
from tests.protocol.vectors_of_scores import FIRST, PLAIN, chunk

TEXT = "In é Tokyo."
PIECES = (changed(FIRST, text=" "), chunk())
CHEAP: dict[str, Any] = {"pieces": PIECES, "prompt_price": 2, "completion_price": 1000}


def cheaply(leaf: Leaf) -> Leaf:
    """As a node prices a score."""
    return changed_leaf(leaf, price=Wei(2 * (leaf.prompt_tokens + leaf.completion_tokens)))


def changed_leaf(leaf: Leaf, **changes: Any) -> Leaf:
    return dataclasses.replace(leaf, **changes)


async def score(world: World, text: str = "é Tokyo.", top: int = 2, **settings: Any) -> Score:
    await world.node(**{"pieces": (FIRST, chunk()), "change_leaf": cheaply, **settings})
    async with world.client() as client:
        return await client.score("tally-tiny", text, top=top)


async def test_a_score_has_the_tokens_with_their_texts_and_what_is_likelier(world: World) -> None:
    told = await score(world, "In é Tokyo.")

    assert [token.text for token in told.tokens] == ["", "é", " Tokyo", "."]
    assert told.logprobs == (-0.25, -2.0, -1.25, -0.125)
    assert told.total == -3.625
    assert told.perplexity == pytest.approx(math.exp(3.625 / 4))
    assert [token.greedy for token in told.tokens] == [True, False, False, True]
    assert told.greedy is False
    assert (told.context, told.offsets) == ("In ", (3, 3, 4, 10))
    assert [token.text for token in told.since(4)] == [" Tokyo", "."]
    assert told.after[0].text == " Kyōto"


async def test_the_job_is_a_canonical_one(world: World) -> None:
    told = await score(world)
    (submit,) = world.nodes[0].submits

    assert (submit.signed.job.task, submit.signed.job.sampling) == (Task.SCORE, SCORE_SAMPLING)
    assert decode_request(submit.request) == Request(text="é Tokyo.", top=2)
    assert told.answer.bundle().job == submit.signed


async def test_every_token_costs_what_a_prompt_token_costs(world: World) -> None:
    told = await score(world, prompt_price=2, completion_price=1000)

    assert told.answer.price == 2 * (len(PROMPT) + 4)


async def test_a_node_that_takes_more_is_found_out(world: World) -> None:
    with pytest.raises(InvalidReceipt) as caught:
        await score(world, prompt_price=2, completion_price=1000, change_leaf=lambda leaf: leaf)

    assert caught.value.check == 12, "the ceiling is what all its tokens may cost as a prompt"


async def test_the_speed_of_reading_is_not_taken_for_that_of_writing(world: World) -> None:
    def at_length(leaf: Leaf) -> Leaf:
        return changed_leaf(cheaply(leaf), started=Milliseconds(leaf.started - 1000))

    await world.node(pieces=(FIRST, chunk()), change_leaf=at_length)
    async with world.client() as client:
        await client.score("tally-tiny", "é Tokyo.", top=2)
        (standing,) = client._session.directory._standings.values()

    assert standing.tokens_per_second is None


async def test_without_likely_tokens(world: World) -> None:
    told = await score(world, " Tokyo.", top=0, pieces=(PLAIN,))

    assert (told.greedy, told.after, told.context) == (None, (), "")


async def test_texts_that_are_not_the_texts_are_no_context(world: World) -> None:
    told = await score(world, "Kyoto!")

    assert told.context is None
    assert told.offsets == (0, 0, 1, 7)


async def test_token_ids_are_asked_about_and_answered(world: World) -> None:
    tokens = (*PROMPT, 300, 301, 7, 8)
    await world.node(pieces=(FIRST, chunk()), change_leaf=cheaply)
    async with world.client() as client:
        told = await client.score("tally-tiny", tokens, top=2)
        assert (told.text, told.context) == ("é Tokyo.", "")
        with pytest.raises(InvalidChunk) as caught:
            await client.score("tally-tiny", (*tokens, 9), top=2)

    assert caught.value.check == 7


async def test_what_is_no_score_is_the_nodes_fault(world: World) -> None:
    await world.node(pieces=(ChunkBody((7,), " Tokyo", (-0.5,)),), change_leaf=cheaply)
    async with world.client() as client:
        with pytest.raises(InvalidChunk) as caught:
            await client.score("tally-tiny", "Tokyo")
        with pytest.raises(NoNodes, match="sent something invalid"):
            await client.score("tally-tiny", "Tokyo")

    assert caught.value.check == 2
    assert "receipt" in caught.value.evidence


@pytest.mark.parametrize("settings", [{"task": Task.EMBED}, {"evidence": "signature-only"}])
async def test_a_model_that_cannot_score_is_not_asked(world: World, settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidJob, match="scores no texts"):
        await score(world, **settings)

    assert world.nodes[0].submits == []


async def test_a_job_that_was_cut_short_is_no_score(world: World) -> None:
    with pytest.raises(NodeUnreachable, match="cancelled"):
        await score(world, change_leaf=lambda leaf: changed_leaf(cheaply(leaf), status=Status.CANCELLED))


@pytest.mark.parametrize(("text", "top"), [("", 1), ("\ud800", 1), ("a", 6), ((2**32,), 0), ((-1,), 0), ((), 0)])
async def test_what_no_node_could_read_is_refused(world: World, text: Any, top: int) -> None:
    with pytest.raises(InvalidJob):
        await score(world, text, top)

    assert world.nodes[0].submits == []


def test_the_blocking_client_scores_too() -> None:
    transport = HostedTransport({"pieces": (FIRST, chunk()), "change_leaf": cheaply})
    with transport.client() as client:
        assert client.score("tally-tiny", "é Tokyo.", top=2).total == -3.625
