"""Tools: they reach the model's template, and what it writes becomes calls, whole or streamed."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from tallynet.client.gateway.tools import Call, CallReader
from tallynet.engine import Engine
from tallynet.protocol.bundle_openings import Whole
from tallynet.protocol.request import Request, decode_request
from tests.client.gateway.scripted_engine import Scripted
from tests.client.gateway.stage import MODEL, QUESTION, Stage, open_stage

NAMES = frozenset({"weather", "time"})
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
WEATHER, TIME = Call("weather", '{"city":"Tokyo"}'), Call("time", "{}")
BOTH = [WEATHER, TIME]
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


@pytest.mark.parametrize(
    ("answer", "text", "calls"),
    [
        ("It is warm.", "It is warm.", []),
        (HERMES, "", [WEATHER]),
        (f"\n{HERMES}\n{HERMES_TIME}\n", "", BOTH),
        (f"Let me look. {HERMES}", "Let me look. ", [WEATHER]),
        ('{"name": "weather", "parameters": {"city": "Tokyo"}}', "", [WEATHER]),
        ('[{"name": "weather", "arguments": {"city": "Tokyo"}}, {"name": "time", "arguments": {}}]', "", BOTH),
        ('{"name": "rain", "parameters": {}}', '{"name": "rain", "parameters": {}}', []),
        ('{"name": "time"}', '{"name": "time"}', []),
        ('{"name": "time", "parameters"', '{"name": "time", "parameters"', []),
        ("<tool_call>{nothing}</tool_call> so", "<tool_call>{nothing}</tool_call> so", []),
        (f"a <tool {HERMES_TIME} <tool_call>", "a <tool <tool_call>", [TIME]),
        ("1 < 2 and <too", "1 < 2 and <too", []),
        (" [1, 2] is a list", " [1, 2] is a list", []),
        ("", "", []),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_answer_comes_apart_into_text_and_calls_however_it_is_cut(
    answer: str, text: str, calls: list[Call], size: int
) -> None:
    reader = CallReader(NAMES)
    parts = [reader.feed(answer[at : at + size]) for at in range(0, len(answer), size)] + [reader.finish()]

    assert "".join(shown for shown, _ in parts) == text
    assert [call for _, some in parts for call in some] == reader.found == calls


def test_text_is_shown_as_soon_as_it_can_be_no_call() -> None:
    reader = CallReader(NAMES)

    assert reader.feed("It is <b>warm</b>.")[0] == "It is <b>warm</b>."
    assert reader.feed(" <tool")[0] == " "
    assert reader.feed("box>")[0] == "<toolbox>"


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
