"""What LangChain asks of every integration: its standard unit and integration tests."""

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from langchain_tests.integration_tests import (
    ChatModelIntegrationTests,
    EmbeddingsIntegrationTests,
    RetrieversIntegrationTests,
)
from langchain_tests.unit_tests import ChatModelUnitTests, EmbeddingsUnitTests

from tallynet.client.langchain import ChatTallynet, TallynetEmbeddings, TallynetRetriever
from tests.client.langchain.networks import client

pytestmark = pytest.mark.langchain


class TestChatUnit(ChatModelUnitTests):
    """Names, parameters, serialisation."""

    @property
    def chat_model_class(self) -> type[ChatTallynet]:
        return ChatTallynet

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "tally-tiny", "client": client()}

    @property
    def supports_json_mode(self) -> bool:
        return True


class TestChat(ChatModelIntegrationTests):
    """Answers, streams and batches, tools and structured output, sync and on asyncio."""

    @property
    def chat_model_class(self) -> type[ChatTallynet]:
        return ChatTallynet

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "obedient", "client": client()}

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_model_override(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "other"


class TestEmbeddingsUnit(EmbeddingsUnitTests):
    """Names and parameters."""

    @property
    def embeddings_class(self) -> type[TallynetEmbeddings]:
        return TallynetEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"model": "vectors", "client": client()}


class TestEmbeddings(EmbeddingsIntegrationTests):
    """Vectors, sync and on asyncio."""

    @property
    def embeddings_class(self) -> type[TallynetEmbeddings]:
        return TallynetEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"model": "vectors", "client": client()}


@cache
def folder() -> tempfile.TemporaryDirectory[str]:
    """Some documents; gone when the tests are over."""
    made = tempfile.TemporaryDirectory()
    (Path(made.name) / "docs").mkdir()
    for number in range(6):
        (Path(made.name) / "docs" / f"{number}.md").write_text(f"Tokyo is the capital of Japan, number {number}.")
    return made


class TestRetriever(RetrieversIntegrationTests):
    """Documents for questions."""

    @property
    def retriever_constructor(self) -> type[TallynetRetriever]:
        return TallynetRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        place = Path(folder().name)
        return {"docs": place / "docs", "index": place / "kept", "client": client()}

    @property
    def retriever_query_example(self) -> str:
        return "Which is the capital of Japan?"
