"""Vectors through OpenAI's own client: each text a job whose receipt verifies, under the same rules as every job."""

import math
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tallynet.engine import Engine, FakeEngine, open_engine
from tallynet.protocol.embedding import decode_embedding
from tallynet.protocol.job import Task
from tests.client.gateway.stage import MODEL, Stage, chat_body, open_stage
from tests.engine.embedders import DIMENSIONS, make_embedder

PATH = "/v1/embeddings"
TEXTS = ["a vector stands for a text", "texts that mean the same", "others do not"]


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_embedder("bert", tmp_path_factory.mktemp("models") / "bert")


def one_of_each(embedder: Path) -> Iterator[Engine]:
    """A node that makes vectors, and one that writes."""
    yield open_engine(str(embedder))
    yield FakeEngine()


@pytest.fixture
async def stage(tmp_path: Path, embedder: Path) -> AsyncIterator[Stage]:
    engines = one_of_each(embedder)
    async with open_stage(tmp_path, nodes=2, engine=lambda: next(engines)) as stage:
        yield stage


async def embed(stage: Stage, **changes: Any) -> Any:
    return (await stage.post(PATH, {"model": "bert", "input": TEXTS, **changes})).json()


async def test_openai_client_gets_a_vector_and_a_receipt_for_each_text(stage: Stage) -> None:
    raw = await stage.openai(lambda client: client.embeddings.with_raw_response.create(model="bert", input=TEXTS))
    answer: Any = raw.parse()
    runs = answer.tally["runs"]

    assert [entry.index for entry in answer.data] == [0, 1, 2]
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > len(TEXTS)
    assert raw.headers["x-tally-job"] == ", ".join(run["job"] for run in runs)
    assert raw.headers["x-tally-evidence"] == "signed"
    for entry, run in zip(answer.data, runs, strict=True):
        bundle: Any = await stage.receipt(run["job"])
        assert bundle.job.job.task == Task.EMBED
        assert decode_embedding(bundle.opening.chunks) == tuple(entry.embedding)
        assert len(entry.embedding) == DIMENSIONS
        assert math.hypot(*entry.embedding) == pytest.approx(1, abs=1e-2)


async def test_numbers_are_the_same_in_both_formats(stage: Stage) -> None:
    def ask(form: Any) -> Any:
        return lambda client: client.embeddings.create(model="bert", input=TEXTS[0], encoding_format=form).data

    (floats,), (encoded,) = await stage.openai(ask("float")), await stage.openai(ask("base64"))
    (read,) = (await stage.openai(lambda client: client.embeddings.create(model="bert", input=TEXTS[0]))).data

    assert isinstance(encoded.embedding, str) and len(encoded.embedding) == 4 * math.ceil(4 * DIMENSIONS / 3)
    assert read.embedding == floats.embedding


async def test_models_tell_what_they_do(stage: Stage) -> None:
    listed = (await stage.get("/v1/models")).json()["data"]

    assert {model["id"]: model["tally"]["task"] for model in listed} == {"bert": "embed", MODEL: "generate"}


async def test_model_that_makes_vectors_is_not_asked_to_write(stage: Stage) -> None:
    answer = await stage.chat(model="bert")

    assert answer.status_code == 400
    assert (answer.json()["error"]["code"], answer.json()["error"]["param"]) == ("model_without_text", "model")


async def test_text_that_does_not_fit_the_model_is_refused(stage: Stage) -> None:
    told = await embed(stage, input=["short", "vector " * 200])

    assert told["error"]["code"] == "context_length_exceeded"


async def test_many_texts_are_all_in_the_body_and_some_in_the_headers(stage: Stage) -> None:
    answer = await stage.post(PATH, {"model": "bert", "input": [f"text {number}" for number in range(20)]})
    told = answer.json()

    assert [entry["index"] for entry in told["data"]] == list(range(20))
    assert len({run["job"] for run in told["tally"]["runs"]}) == 20
    assert answer.headers["x-tally-job"].split(", ") == [run["job"] for run in told["tally"]["runs"][:8]]


async def test_vectors_count_against_the_days_tokens(stage: Stage) -> None:
    secret = stage.key(tokens_per_day=10)
    async with stage.http(secret) as http:
        answers = [await http.post(PATH, json={"model": "bert", "input": TEXTS[:2]}) for _ in range(3)]

    assert answers[0].status_code == 200
    assert answers[-1].status_code == 429
    assert answers[-1].json()["error"]["code"] == "insufficient_quota"


async def test_vector_waits_for_the_evidence_that_is_demanded(stage: Stage) -> None:
    told = await embed(stage, tally={"minimum_evidence": "anchored"}, input=TEXTS[0])

    assert told["tally"]["evidence"] == "anchored"
    assert (await stage.receipt(told["tally"]["job"])).inclusion is not None


async def test_vectors_and_texts_are_counted_apart(stage: Stage) -> None:
    await embed(stage)
    await stage.post("/v1/chat/completions", chat_body())
    metrics = (await stage.get("/metrics")).text

    assert 'gen_ai_operation_name="embeddings",gen_ai_provider_name="tallynet",gen_ai_request_model="bert"' in metrics
    assert 'gen_ai_operation_name="chat"' in metrics
