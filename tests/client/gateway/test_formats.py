"""JSON on demand through OpenAI's own client, on the model that comes with the package."""

import json
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from openai import BadRequestError, OpenAI

from tallynet.devnet.plan import DEFAULT_MODEL
from tallynet.engine import open_engine
from tests.client.gateway.stage import QUESTION, Stage, open_stage

SCHEMA = {
    "type": "object",
    "properties": {"capital": {"type": "string", "maxLength": 12}, "sure": {"type": "boolean"}},
    "required": ["capital", "sure"],
    "additionalProperties": False,
}
NAMED = {"type": "json_schema", "json_schema": {"name": "capital", "schema": SCHEMA, "strict": True}}
TOOL: Any = {"type": "function", "function": {"name": "look_up", "strict": True, "parameters": SCHEMA}}


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path, engine=partial(open_engine, str(DEFAULT_MODEL), slots=2)) as stage:
        yield stage


def ask(client: OpenAI, **changes: Any) -> Any:
    options: dict[str, Any] = {"model": "tally-tiny", "messages": QUESTION, "max_tokens": 80, **changes}
    return client.chat.completions.create(**options)


async def test_answer_satisfies_the_schema_whole_and_streamed(stage: Stage) -> None:
    whole = await stage.openai(lambda client: ask(client, response_format=NAMED))
    chunks = await stage.openai(lambda client: list(ask(client, response_format=NAMED, stream=True)))
    streamed = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)

    for text in (whole.choices[0].message.content, streamed):
        told = json.loads(text)
        assert list(told) == ["capital", "sure"] and isinstance(told["sure"], bool)
    assert whole.choices[0].finish_reason == "stop"
    await stage.receipt(whole.tally["job"])


async def test_any_object_will_do_for_json_object(stage: Stage) -> None:
    answer = await stage.openai(lambda client: ask(client, response_format={"type": "json_object"}, temperature=0))

    assert answer.choices[0].message.content.startswith("{")


async def test_schema_that_cannot_be_kept_to_is_refused_by_name(stage: Stage) -> None:
    named = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"not": {}}}}
    with pytest.raises(BadRequestError) as refused:
        await stage.openai(lambda client: ask(client, response_format=named))

    assert (refused.value.code, refused.value.param) == ("unsupported_schema", "response_format")
    assert "Unimplemented keys" in refused.value.message


async def test_biases_reach_the_model_in_chats_and_completions(stage: Stage) -> None:
    bias = {"500": 100}
    chat = await stage.openai(lambda client: ask(client, logit_bias=bias, max_tokens=4, logprobs=True))
    text = await stage.openai(
        lambda client: client.completions.create(
            model="tally-tiny", prompt="Once", max_tokens=4, logit_bias={"500": 100}, logprobs=0
        )
    )

    assert {token.token for token in chat.choices[0].logprobs.content} == {"token_id:500"}
    told: Any = text.choices[0].logprobs
    assert set(told.tokens) == {"token_id:500"}


async def test_biases_of_tokens_that_the_model_has_not_are_refused(stage: Stage) -> None:
    with pytest.raises(BadRequestError) as refused:
        await stage.openai(lambda client: ask(client, logit_bias={"2048": 1}))

    assert (refused.value.code, refused.value.param) == ("unsupported_parameter", "logit_bias")


async def test_tools_are_refused_by_a_model_whose_template_has_none(stage: Stage) -> None:
    with pytest.raises(BadRequestError) as refused:
        await stage.openai(lambda client: ask(client, tools=[TOOL], tool_choice="required"))

    assert (refused.value.code, refused.value.param) == ("unsupported_parameter", "tools")
