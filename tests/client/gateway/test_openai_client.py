"""OpenAI's own Python client, official and unchanged, against the gateway on a devnet."""

import inspect
from collections.abc import AsyncIterator
from operator import attrgetter
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from openai import BadRequestError, OpenAI

from tallynet.client.gateway.bodies import ChatBody, CompletionBody, EmbeddingsBody
from tallynet.client.gateway.parameters import UNSUPPORTED
from tallynet.engine import FakeEngine
from tallynet.protocol.leaf import Leaf, Status
from tests.client.gateway.stage import MODEL, QUESTION, Stage, open_stage


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path) as stage:
        yield stage


def ask(client: OpenAI, **changes: Any) -> Any:
    options: dict[str, Any] = {"model": MODEL, "messages": QUESTION, "temperature": 0, "max_tokens": 32, **changes}
    return client.chat.completions.create(**options)


async def test_lists_models(stage: Stage) -> None:
    models = await stage.openai(lambda client: [model.id for model in client.models.list()])

    assert models == [MODEL]
    assert (await stage.openai(lambda client: client.models.retrieve(MODEL))).owned_by == "tallynet"


async def test_chats_and_the_receipt_verifies(stage: Stage) -> None:
    answer = await stage.openai(ask)

    choice = answer.choices[0]
    assert (choice.message.role, choice.finish_reason in ("stop", "length")) == ("assistant", True)
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    bundle = await stage.receipt(answer.tally["job"])
    assert bundle.opening is not None
    assert Leaf.unpack(bundle.receipt.leaf).completion_tokens == answer.usage.completion_tokens


async def test_headers_carry_the_receipt(stage: Stage) -> None:
    raw = await stage.openai(
        lambda client: client.chat.completions.with_raw_response.create(model=MODEL, messages=QUESTION, max_tokens=8)
    )

    tally: Any = raw.parse().model_extra["tally"]  # type: ignore[index]
    assert raw.headers["x-tally-job"] == tally["job"]
    assert raw.headers["x-tally-node"] == tally["node"] == "0x" + stage.devnet.nodes[0].address.hex()
    assert raw.headers["x-tally-evidence"] == tally["evidence"] == "signed"


async def test_streams_what_it_would_have_answered(stage: Stage) -> None:
    whole = await stage.openai(ask)
    chunks = await stage.openai(lambda client: list(ask(client, stream=True, stream_options={"include_usage": True})))

    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == whole.choices[0].message.content
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]] == [None] * (len(chunks) - 2) + [
        whole.choices[0].finish_reason
    ]
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert chunks[-1].tally["receipt"] == f"/v1/receipts/{chunks[-1].tally['job']}"
    await stage.receipt(chunks[-1].tally["job"])


async def test_an_unsupported_parameter_is_refused_by_name(stage: Stage) -> None:
    tools = [{"type": "function", "function": {"name": "weather", "parameters": {}}}]
    with pytest.raises(BadRequestError) as refused:
        await stage.openai(lambda client: ask(client, tools=tools))

    assert (refused.value.param, refused.value.code) == ("tools", "unsupported_parameter")
    assert refused.value.type == "invalid_request_error"


@pytest.mark.parametrize(
    ("resource", "form"),
    [("chat.completions", ChatBody), ("completions", CompletionBody), ("embeddings", EmbeddingsBody)],
)
def test_every_parameter_of_the_client_is_taken_or_refused_by_its_name(resource: str, form: Any) -> None:
    create = attrgetter(f"{resource}.create")(OpenAI(api_key="unused"))
    named = set(inspect.signature(create).parameters) - {"extra_headers", "extra_query", "extra_body", "timeout"}
    taken = {field.encode_name for field in msgspec.structs.fields(form)}

    assert named - taken - set(UNSUPPORTED) == set()


async def test_completes_a_text(stage: Stage) -> None:
    def complete(client: OpenAI) -> Any:
        return client.completions.create(
            model=MODEL, prompt="Once upon a time", max_tokens=8, temperature=0, echo=True, n=2, logprobs=None
        )

    answer = await stage.openai(complete)
    echo = answer.choices[0].text
    assert echo.startswith("Once upon a time") and len(echo) > len("Once upon a time")
    assert [run["job"] for run in answer.tally["runs"]] == [answer.tally["job"], answer.tally["runs"][1]["job"]]
    for run in answer.tally["runs"]:
        await stage.receipt(run["job"])


async def test_logprobs_come_with_every_token(stage: Stage) -> None:
    answer = await stage.openai(lambda client: ask(client, logprobs=True))

    content = answer.choices[0].logprobs.content
    assert len(content) == answer.usage.completion_tokens
    assert all(token.logprob < 0 and token.token.startswith("token_id:") for token in content)


@pytest.mark.slow
async def test_leaving_a_stream_cancels_the_job(tmp_path: Path) -> None:
    def leave(client: OpenAI) -> str:
        with client.chat.completions.create(
            model=MODEL, messages=QUESTION, max_tokens=4000, temperature=0, stream=True
        ) as stream:
            return next(iter(stream)).id

    async with open_stage(tmp_path, engine=lambda: FakeEngine(tokens_per_second=50, end_every=100_000)) as stage:
        job = "0x" + (await stage.openai(leave)).removeprefix("chatcmpl-")
        with trio.fail_after(30):
            while (await stage.get(f"/v1/receipts/{job}")).status_code != 200:
                await trio.sleep(0.1)
        leaf = Leaf.unpack((await stage.receipt(job)).receipt.leaf)

    assert leaf.status is Status.CANCELLED
    assert 0 < leaf.completion_tokens < 4000


async def test_the_receipt_gets_its_anchor(stage: Stage) -> None:
    answer = await stage.openai(ask)

    assert (await stage.receipt(answer.tally["job"], wait=10)).inclusion is not None
