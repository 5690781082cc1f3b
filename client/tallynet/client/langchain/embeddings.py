"""Vectors for LangChain, each text a job with its receipt."""

from collections.abc import Sequence

from langchain_core.embeddings import Embeddings

from tallynet.client.client import AsyncClient
from tallynet.client.embedding import Embedding, EmbedOptions
from tallynet.client.langchain.access import Access
from tallynet.client.langchain.bridge import run
from tallynet.client.terms import DEADLINE_SECONDS


class TallynetEmbeddings(Access, Embeddings):
    """`TallynetEmbeddings(model="my-embedder")`."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """One vector of length 1 for each text."""
        return self._vectors(self.opened().call(lambda client: self._embed(client, texts)))

    def embed_query(self, text: str) -> list[float]:
        """The vector of a question."""
        return self.embed_documents([text])[0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """As `embed_documents`."""
        return self._vectors(await run(self.opened(), lambda client: self._embed(client, texts)))

    async def aembed_query(self, text: str) -> list[float]:
        """As `embed_query`."""
        return (await self.aembed_documents([text]))[0]

    async def _embed(self, client: AsyncClient, texts: Sequence[str]) -> list[Embedding]:
        options = EmbedOptions(deadline_seconds=self.timeout or DEADLINE_SECONDS, max_price_wei=self.max_price_wei)
        return await client.embed(self.model, texts, **options)

    def _vectors(self, embeddings: Sequence[Embedding]) -> list[list[float]]:
        for embedding in embeddings:
            self.told(embedding.answer)
        return [list(embedding.vector) for embedding in embeddings]
