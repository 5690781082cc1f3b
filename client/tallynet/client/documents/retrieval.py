"""Finding the passages that a question is about: by the vectors of a model of the network, or by words (BM25)."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from tallynet.client.client import AsyncClient
from tallynet.client.documents.document import Document
from tallynet.client.documents.length import CHARACTERS_PER_TOKEN
from tallynet.client.documents.passage import PASSAGE_CHARACTERS, Passage
from tallynet.client.documents.store import Scored, Store, open_store
from tallynet.client.market import ModelOnOffer
from tallynet.protocol.job import Task
from tallynet.protocol.units import JobId

EMBEDDED_AT_ONCE = 64
"""Passages whose vectors are kept together: so much at most is paid again after an interruption."""

Tell = Callable[[int, int], None]
"""Told how many of how many passages have their vectors."""


@dataclass(frozen=True, slots=True)
class Found:
    """A passage that a question may be about."""

    passage: Passage
    score: float
    """Higher is better; of BM25, or the likeness of two vectors, -1 to 1."""


class Retrieval:
    """Documents that can be asked; one question at a time."""

    def __init__(self, client: AsyncClient, store: Store, embedder: ModelOnOffer | None) -> None:
        """`embedder` makes the vectors; None ranks by words."""
        self._client = client
        self._store = store
        self.embedder = embedder
        self.jobs: list[JobId] = []
        """All embeddings that were made and paid here; their receipts are in the receipts folder."""

    async def update(self, documents: Sequence[Document], tell: Tell = lambda done, total: None) -> int:
        """Hold these documents and no others; returns how many were new or changed.

        Only passages without a vector are embedded. Raises what `AsyncClient.embed` raises; what was embedded before
        is kept.
        """
        characters = PASSAGE_CHARACTERS
        if self.embedder is not None:
            characters = min(characters, self.embedder.context_length * CHARACTERS_PER_TOKEN)
        changed = await trio.to_thread.run_sync(self._store.update, documents, characters)
        if self.embedder is not None:
            await self._embed_missing(self.embedder, tell)
        return changed

    async def find(self, question: str, count: int = 4) -> list[Found]:
        """The `count` passages that fit best, best first; perhaps none."""
        return [Found(passage, score) for passage, score in await self._ranked(question, count)]

    async def _ranked(self, question: str, count: int) -> list[Scored]:
        if self.embedder is None:
            return await trio.to_thread.run_sync(self._store.find_by_words, question, count)
        model = self.embedder.model
        (asked,) = await self._embed(self.embedder, [question])
        return await trio.to_thread.run_sync(self._store.find_by_vector, model, asked, count)

    async def _embed_missing(self, embedder: ModelOnOffer, tell: Tell) -> None:
        missing = list((await trio.to_thread.run_sync(self._store.without_vector, embedder.model)).items())
        for begin in range(0, len(missing), EMBEDDED_AT_ONCE):
            tell(begin, len(missing))
            some = missing[begin : begin + EMBEDDED_AT_ONCE]
            vectors = await self._embed(embedder, [text for _, text in some])
            kept = {number: vector for (number, _), vector in zip(some, vectors, strict=True)}
            await trio.to_thread.run_sync(self._store.keep_vectors, embedder.model, kept)
        tell(len(missing), len(missing))

    async def _embed(self, embedder: ModelOnOffer, texts: Sequence[str]) -> list[tuple[float, ...]]:
        embeddings = await self._client.embed("0x" + embedder.model.hex(), texts)
        self.jobs += [embedding.answer.job for embedding in embeddings]
        return [embedding.vector for embedding in embeddings]


@asynccontextmanager
async def open_retrieval(
    client: AsyncClient, folder: Path, embedder: str | None = None, *, by_words: bool = False
) -> AsyncIterator[Retrieval]:
    """Passages that are kept in `folder`.

    `embedder` is the model for vectors; by default the one of the network that most nodes offer, and where there is
    none, or `by_words`, passages are ranked by BM25. Raises `Misconfigured`, and `NoNodes` for a model that nobody
    offers.
    """
    chosen = None if by_words else await choose_embedder(client, embedder)
    with open_store(folder) as store:
        yield Retrieval(client, store, chosen)


async def choose_embedder(client: AsyncClient, model: str | None) -> ModelOnOffer | None:
    """The model that is to make vectors; None when there is none. Raises `NoNodes` for one that was named."""
    if model is not None:
        return await client.model(model)
    return next(iter(await client.models(Task.EMBED)), None)
