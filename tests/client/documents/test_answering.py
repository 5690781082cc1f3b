"""Answers from documents: what is shown and sealed, what is cited, and how passages are embedded once."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
import trio

from tallynet.client.documents import Document, Passage, answer_from, open_retrieval, read_documents
from tallynet.client.documents.citation import read_citations
from tallynet.devnet.fixture import open_devnet
from tallynet.devnet.plan import DEFAULT_MODEL
from tallynet.engine import open_engine
from tallynet.protocol.chunk import ChunkBody
from tallynet.protocol.embedding import encode_embedding
from tallynet.protocol.errors import InvalidJob, Misconfigured, NoNodes, Refused
from tallynet.protocol.job import Task
from tallynet.protocol.request import decode_request
from tallynet.protocol.units import ModelId
from tests.client.scripted_node import ScriptedNode
from tests.client.world import World
from tests.engine.embedders import make_embedder

DOCUMENTS = [Document("japan.md", "Tokyo is the capital of Japan."), Document("bread.md", "In German bread is Brot.")]
CITING = (ChunkBody((7, 8), "It is Tokyo [1][2, 9].", (-0.5, -0.5)),)
VECTOR = ChunkBody((), encode_embedding((0.6, 0.8)), ())
EMBEDS: dict[str, Any] = {
    "task": Task.EMBED, "name": "vectors", "model": ModelId(b"\1" * 32), "pieces": (VECTOR,),
}  # fmt: skip
PASSAGES = [Passage("a.md", number, f"Passage {number}.") for number in (1, 2, 3)]


def documents_of(node: ScriptedNode) -> list[tuple[bytes, ...]]:
    return [decode_request(submit.request).documents for submit in node.submits]


def sha256(*texts: str) -> tuple[bytes, ...]:
    return tuple(hashlib.sha256(text.encode()).digest() for text in texts)


async def test_an_answer_names_passages_whose_digests_are_signed(world: World, tmp_path: Path) -> None:
    node = await world.node(pieces=CITING)
    async with world.client() as client, open_retrieval(client, tmp_path) as retrieval:
        await retrieval.update(DOCUMENTS)
        answer = await answer_from(client, "tally-tiny", "Is Tokyo or Brot the capital of Japan?", retrieval)

    assert [passage.label for passage in answer.passages] == ["japan.md#1", "bread.md#1"]
    assert [(citation.number, citation.passage.source) for citation in answer.citations] == [
        (1, "japan.md"), (2, "bread.md")
    ]  # fmt: skip
    assert answer.unknown == (9,)
    assert answer.text == "It is Tokyo [1][2, 9]."
    assert documents_of(node) == [sha256(DOCUMENTS[0].text, DOCUMENTS[1].text)]
    assert answer.result.answer.receipt.leaf.request == node.submits[0].signed.job.request


@pytest.mark.parametrize(
    ("text", "numbers", "unknown"),
    [
        ("So [3], and so [1] [3].", [3, 1], []),
        ("See [1, 2; 3].", [1, 2, 3], []),
        ("None [0] [4] [a] [] [1234] 1.", [], [0, 4]),
        ("", [], []),
    ],
)
def test_citations_are_read(text: str, numbers: list[int], unknown: list[int]) -> None:
    citations, others = read_citations(text, PASSAGES)

    assert [(citation.number, citation.passage) for citation in citations] == [
        (number, PASSAGES[number - 1]) for number in numbers
    ]
    assert others == unknown


async def test_passages_are_embedded_by_the_network_and_paid_once(world: World, tmp_path: Path) -> None:
    writer, embedder = await world.node(pieces=CITING), await world.node(**EMBEDS)
    told: list[tuple[int, int]] = []
    async with world.client() as client:
        for _ in range(2):
            async with open_retrieval(client, tmp_path) as retrieval:
                await retrieval.update(DOCUMENTS, lambda done, total: told.append((done, total)))
                answer = await answer_from(client, "tally-tiny", "Japan?", retrieval, count=1)

    texts = [decode_request(submit.request).text for submit in embedder.submits]
    assert sorted(texts) == sorted([*(document.text for document in DOCUMENTS), "Japan?", "Japan?"])
    assert told == [(0, 2), (2, 2), (0, 0)]
    assert len(writer.submits) == 2
    assert len(answer.passages) == 1


async def test_words_are_used_when_they_are_asked_for(world: World, tmp_path: Path) -> None:
    embedder = await world.node(**EMBEDS)
    async with world.client() as client, open_retrieval(client, tmp_path, by_words=True) as retrieval:
        await retrieval.update(DOCUMENTS)
        found = await retrieval.find("bread")

    assert [entry.passage.source for entry in found] == ["bread.md"]
    assert embedder.submits == [] and retrieval.jobs == []


async def test_an_embedder_that_nobody_offers_is_named(world: World, tmp_path: Path) -> None:
    await world.node()
    async with world.client() as client:
        with pytest.raises(NoNodes, match="nobody"):
            async with open_retrieval(client, tmp_path, "nobody"):
                pass


async def test_a_question_about_nothing_in_the_documents_asks_nobody(world: World, tmp_path: Path) -> None:
    node = await world.node()
    async with world.client() as client, open_retrieval(client, tmp_path) as retrieval:
        await retrieval.update(DOCUMENTS)
        with pytest.raises(Misconfigured, match="nothing to do|No passage"):
            await answer_from(client, "tally-tiny", "Whales?", retrieval)

    assert node.submits == []


async def test_fewer_passages_are_shown_when_all_are_too_long(world: World, tmp_path: Path) -> None:
    node = await world.node(pieces=CITING, refusals=[InvalidJob("the prompt is too long", check=5)])
    async with world.client() as client, open_retrieval(client, tmp_path) as retrieval:
        await retrieval.update(DOCUMENTS)
        answer = await answer_from(client, "tally-tiny", "Japan Tokyo bread?", retrieval)

    assert len(answer.passages) == 1
    assert [len(digests) for digests in documents_of(node)] == [2, 1]
    assert node.log.size == 1


async def test_one_passage_that_is_too_long_is_refused(world: World, tmp_path: Path) -> None:
    await world.node(refusals=[InvalidJob("the prompt is too long", check=5)] * 3)
    async with world.client() as client, open_retrieval(client, tmp_path) as retrieval:
        await retrieval.update(DOCUMENTS)
        with pytest.raises(Refused, match="too long"):
            await answer_from(client, "tally-tiny", "Japan?", retrieval)


@pytest.mark.slow
async def test_real_models_find_and_answer(tmp_path: Path) -> None:
    specs = [str(DEFAULT_MODEL), str(make_embedder("bert", tmp_path / "bert", "mean_tokens"))]
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "japan.md").write_text("The capital of Japan is Tokyo.")
    (tmp_path / "docs" / "bread.txt").write_text("A vector stands for a text.")
    async with (
        open_devnet(tmp_path / "net", nodes=2, engine=lambda: open_engine(specs.pop())) as devnet,
        devnet.client() as client,
        open_retrieval(client, tmp_path / "kept") as retrieval,
    ):
        documents = await trio.to_thread.run_sync(read_documents, tmp_path / "docs")
        await retrieval.update(documents)
        (found, *_) = await retrieval.find("The capital of Japan is Tokyo.", 2)
        answer = await answer_from(client, "tally-tiny", "What is the capital of Japan?", retrieval)

    assert retrieval.embedder is not None and retrieval.embedder.name == "bert"
    assert found.passage.source == "japan.md" and found.score > 0.99
    assert "Tokyo" in answer.text
    assert len(answer.passages) == 2
