"""Tools: they reach the model's template, and what it writes becomes calls, whole or streamed."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from tallynet.engine import Engine
from tallynet.protocol.bundle_openings import Whole
from tallynet.protocol.request import Request, decode_request
from tests.client.gateway.scripted_engine import Scripted
from tests.client.gateway.stage import MODEL, QUESTION, Stage, open_stage

TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "How warm it is.",
            "parameters": {
                "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
                "additionalProperties": False,
            },
        },
    },
    {"type": "function", "function": {"name": "time"}},
]  # fmt: skip
HERMES = '<tool_call>\n{"name": "weather", "arguments": {"city": "Tokyo"}}\n</tool_call>'
HERMES_TIME = '<tool_call>{"name": "time", "arguments": {}}</tool_call>'


def engine(script: str) -> Callable[[], Engine]:
    return partial(Scripted, script)


def ask(client: OpenAI, **changes: Any) -> Any:
    options = {"model": MODEL, "messages": QUESTION, "temperature": 0, "max_tokens": 500, "tools": TOOLS, **changes}
    return client.chat.completions.create(**options)


async def request_of(stage: Stage, job: str) -> Request:
    opening = (await stage.receipt(job)).opening
    assert isinstance(opening, Whole)
    return decode_request(opening.request)


async def test_tools_reach_the_node_and_a_call_comes_back(tmp_path: Path) -> None:
    async with open_stage(tmp_path, engine=engine(f"Let me look. {HERMES}")) as stage:
        answer = await stage.openai(ask)
        request = await request_of(stage, answer.tally["job"])

    choice = answer.choices[0]
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", "Let me look. ")
    (call,) = choice.message.tool_calls
    assert (call.type, call.function.name, call.function.arguments) == ("function", "weather", '{"city":"Tokyo"}')
    told = json.loads(request.tools)
    assert [tool["function"]["name"] for tool in told] == ["weather", "time"]
    assert told[1] == {
        "type": "function",
        "function": {"name": "time", "description": "", "parameters": {"type": "object"}},
    }


async def test_streamed_calls_are_those_of_the_whole_answer(tmp_path: Path) -> None:
    async with open_stage(tmp_path, engine=engine(f"{HERMES}\n{HERMES_TIME}")) as stage:
        chunks = await stage.openai(lambda client: list(ask(client, stream=True)))

    deltas = [chunk.choices[0].delta for chunk in chunks]
    calls = [call for delta in deltas for call in delta.tool_calls or ()]
    assert "".join(delta.content or "" for delta in deltas) == ""
    assert [(call.index, call.function.name, call.function.arguments) for call in calls] == [
        (0, "weather", '{"city":"Tokyo"}'),
        (1, "time", "{}"),
    ]
    assert len({call.id for call in calls}) == 2
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


async def test_the_answers_of_tools_go_back_into_the_dialogue(tmp_path: Path) -> None:
    async with open_stage(tmp_path, engine=engine("It is 21 degrees.")) as stage:
        called: Any = {"id": "call-1", "type": "function", "function": {"name": "time", "arguments": ""}}
        turns = [
            *QUESTION,
            {"role": "assistant", "content": None, "tool_calls": [called]},
            {"role": "tool", "tool_call_id": "call-1", "content": "noon"},
        ]
        answer = await stage.openai(lambda client: ask(client, messages=turns))
        request = await request_of(stage, answer.tally["job"])

    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.content == "It is 21 degrees."
    assert answer.choices[0].message.tool_calls is None
    _, second, third = request.messages
    assert (second.tool_calls[0].name, second.tool_calls[0].arguments) == ("time", "{}")
    assert (third.role, third.tool_call_id, third.content) == ("tool", "call-1", "noon")


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "weather"}}])
async def test_a_call_that_is_required_is_a_schema(tmp_path: Path, choice: Any) -> None:
    script = '{"name":"weather","arguments":{"city":"Tokyo"}}'
    async with open_stage(tmp_path, engine=engine(script)) as stage:
        answer = await stage.openai(lambda client: ask(client, tool_choice=choice, parallel_tool_calls=False))
        request = await request_of(stage, answer.tally["job"])

    (call,) = answer.choices[0].message.tool_calls
    assert (call.function.name, call.function.arguments) == ("weather", '{"city":"Tokyo"}')
    assert answer.choices[0].message.content is None
    allowed = json.loads(request.schema)["anyOf"]
    assert len(allowed) == (2 if choice == "required" else 1)
    assert allowed[0]["properties"]["name"] == {"const": "weather"}
    assert allowed[0]["properties"]["arguments"]["required"] == ["city"]


async def test_with_tool_choice_none_no_tool_is_offered(tmp_path: Path) -> None:
    async with open_stage(tmp_path, engine=engine(HERMES)) as stage:
        answer = await stage.openai(lambda client: ask(client, tool_choice="none"))
        request = await request_of(stage, answer.tally["job"])

    assert answer.choices[0].message.content == HERMES
    assert request.tools == ""
