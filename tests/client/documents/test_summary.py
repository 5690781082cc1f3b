"""Long texts: their parts, the tree of jobs above them, and parts that a node finds too long."""

import hashlib
import re

import pytest

from tallynet.client.documents import summarise
from tallynet.protocol.chunk import ChunkBody
from tallynet.protocol.errors import InvalidJob, Misconfigured, Refused, UnfitAnswer
from tallynet.protocol.request import decode_request
from tests.client.scripted_node import TEXT, ScriptedNode
from tests.client.world import World

PARAGRAPHS = "\n\n".join(f"Paragraph {number} " + "is about the capital of Japan. " * 6 for number in range(40))


def asked(node: ScriptedNode) -> list[str]:
    """What was to be summarised, job by job."""
    contents = [decode_request(submit.request).messages[-1].content for submit in node.submits]
    return [content.partition("\n\n")[2] for content in contents]


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


async def test_a_short_text_is_one_job(world: World) -> None:
    node = await world.node()
    async with world.client() as client:
        summary = await summarise(client, "tally-tiny", "A short text.", words=10)

    assert summary.text == TEXT
    assert len(summary.answers) == 1
    request = decode_request(node.submits[0].request)
    assert "the following text in about 10 words" in request.messages[-1].content
    assert request.documents == (digest("A short text."),)


async def test_a_long_text_is_a_tree_of_jobs(world: World) -> None:
    node = await world.node()
    told: list[tuple[int, int]] = []
    async with world.client() as client:
        summary = await summarise(
            client, "tally-tiny", PARAGRAPHS, characters=250, tell=lambda done, total: told.append((done, total))
        )

    jobs = [submit.signed.job for submit in node.submits]
    leaves = [job for job in jobs if not job.parents]
    assert len(leaves) == 40 and len(summary.answers) == len(jobs) == 40 + 6 + 1
    outputs = {answer.output for answer in summary.answers}
    named = [parent for job in jobs for parent in job.parents]
    assert set(named) | {summary.answers[-1].output} == outputs
    assert len(named) == len(outputs) - 1
    assert summary.result.answer == summary.answers[-1]
    assert told[0] == (0, 40) and told[-1] == (47, 47)
    assert "".join("".join(asked(node)[:40]).split()) != ""


async def test_every_part_is_sealed_under_its_digest(world: World) -> None:
    node = await world.node()
    async with world.client() as client:
        await summarise(client, "tally-tiny", PARAGRAPHS[:600], characters=250)

    for submit, text in zip(node.submits, asked(node), strict=True):
        documents = decode_request(submit.request).documents
        parts = [TEXT] * len(documents) if len(documents) > 1 else [text]
        assert documents == tuple(map(digest, parts))


async def test_a_part_that_is_too_long_is_cut_in_two(world: World) -> None:
    node = await world.node(refusals=[InvalidJob("the prompt is too long", check=5)])
    async with world.client() as client:
        summary = await summarise(client, "tally-tiny", PARAGRAPHS[:600], characters=700)

    assert len(node.submits) == 1 + node.log.size
    assert node.log.size == len(summary.answers) == 3 + 1
    assert "part of a longer text" in decode_request(node.submits[1].request).messages[-1].content


async def test_a_refusal_of_another_kind_ends_all(world: World) -> None:
    await world.node(refusals=[InvalidJob("too dear", check=7)] * 99)
    async with world.client() as client:
        with pytest.raises(Refused, match="too dear"):
            await summarise(client, "tally-tiny", PARAGRAPHS, characters=250)


async def test_summaries_that_do_not_get_shorter_end(world: World) -> None:
    await world.node(pieces=(ChunkBody((7,), "word " * 60, (-0.5,)),))
    async with world.client() as client:
        with pytest.raises(UnfitAnswer, match="do not get shorter"):
            await summarise(client, "tally-tiny", PARAGRAPHS[:1000], characters=250)


@pytest.mark.parametrize("text", ["", " \n", "x" * (4 * 1024 * 1024 + 1)])
async def test_nothing_and_too_much_are_refused(world: World, text: str) -> None:
    await world.node()
    async with world.client() as client:
        with pytest.raises(Misconfigured):
            await summarise(client, "tally-tiny", text)


async def test_the_parts_fit_the_context_of_the_model(world: World) -> None:
    node = await world.node()
    async with world.client() as client:
        (model,) = await client.models()
        await summarise(client, "tally-tiny", PARAGRAPHS * 3, max_tokens=100)

    longest = max(len(text) for text in asked(node))
    assert 0.3 * 3 * model.context_length < longest < 3 * model.context_length
    assert re.search(r"Paragraph 39", "".join(asked(node)))
