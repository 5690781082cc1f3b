"""One's own files as a retriever for LangChain: passages with the digests that an answer's job can name."""

from pathlib import Path
from typing import Any

import trio
from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import Field

from tallynet.client.blocking import Client
from tallynet.client.client import AsyncClient
from tallynet.client.documents.answering import PASSAGES
from tallynet.client.documents.document import read_documents
from tallynet.client.documents.retrieval import Found, open_retrieval
from tallynet.client.langchain.bridge import run


class TallynetRetriever(BaseRetriever):
    """`TallynetRetriever(docs="docs", index="kept")`. Passages are found by vectors of the network, or by their words.

    The metadata of each are its `source`, its place there (`passage`), its `digest` (SHA-256 in hex) and its `score`.
    """

    docs: Path | str
    """A folder or a file: .txt, .md, .rst, .html. Read anew each time; what has not changed is not embedded again."""
    index: Path | str
    """A folder where the passages are kept."""
    k: int = PASSAGES
    """How many passages."""
    embedder: str | None = None
    """The model that makes vectors; by default one that is on offer."""
    by_words: bool = False
    """Rank by words (BM25), and embed nothing."""
    network: Path | str | None = None
    client: Client | None = Field(default=None, exclude=True, repr=False)

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        return self._opened().call(lambda client: self._find(client, query, kwargs.get("k", self.k)))

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        return await run(self._opened(), lambda client: self._find(client, query, kwargs.get("k", self.k)))

    def _opened(self) -> Client:
        if self.client is None:
            self.client = Client(self.network)
        return self.client

    async def _find(self, client: AsyncClient, query: str, count: int) -> list[Document]:
        documents = await trio.to_thread.run_sync(read_documents, Path(self.docs))
        async with open_retrieval(client, Path(self.index), self.embedder, by_words=self.by_words) as retrieval:
            await retrieval.update(documents)
            return [_document(found) for found in await retrieval.find(query, count)]


def _document(found: Found) -> Document:
    passage = found.passage
    metadata = {
        "source": passage.source, "passage": passage.number, "digest": passage.digest.hex(), "score": found.score,
    }  # fmt: skip
    return Document(page_content=passage.text, metadata=metadata)
