"""Tools by the library alone: what is asked of the node, the calls in its answer, and the turns that go on."""

import json
from typing import Any

import pytest

from tallynet.client import Answer
from tallynet.client.tools.definition import InvalidTools
from tallynet.protocol.chunk import ChunkBody
from tallynet.protocol.request import Message, Request, ToolCall, decode_request
from tests.client.hosted import HostedTransport
from tests.client.scripted_node import ScriptedNode
from tests.client.world import World

QUESTION = Message("user", "Is it warm in Tokyo?")
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER: dict[str, Any] = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}
TIME: dict[str, Any] = {"type": "function", "function": {"name": "time", "description": "What time it is."}}
CALL = '<tool_call>{"name": "weather", "arguments": {"city": "Tokyo"}}</tool_call>'
SAID = tuple(ChunkBody((number,), text, (-0.5,)) for number, text in enumerate(("Let me look. ", CALL[:20], CALL[20:])))


async def ask(world: World, **options: Any) -> tuple[Answer, ScriptedNode]:
    node = await world.node(pieces=SAID)
    async with world.client() as client:
        return await client.ask("tally-tiny", [QUESTION], **options), node


async def test_answer_tells_its_calls_and_keeps_its_text(world: World) -> None:
    answer, _ = await ask(world, tools=[WEATHER, TIME])

    (call,) = answer.calls
    assert (call.name, call.arguments) == ("weather", '{"city":"Tokyo"}')
    assert answer.calls == (call,)
    assert call.id.startswith(f"call_{answer.job.hex()[:24]}")
    assert answer.text == f"Let me look. {CALL}"


async def test_dialogue_goes_on_with_what_the_tool_said(world: World) -> None:
    answer, node = await ask(world, tools=[WEATHER])
    (call,) = answer.calls
    said = Message("tool", "21 degrees", tool_call_id=call.id)
    async with world.client() as client:
        await client.ask("tally-tiny", [QUESTION, answer.turn, said], tools=[WEATHER])

    request = decode_request(node.submits[-1].request)
    assert request.messages == (QUESTION, Message("assistant", "Let me look. ", tool_calls=(call,)), said)


async def test_turn_of_an_answer_without_calls_is_its_text(world: World) -> None:
    answer, _ = await ask(world)

    assert answer.calls == ()
    assert answer.turn == Message("assistant", answer.text)


@pytest.mark.parametrize(
    ("choice", "callable"),
    [
        ("required", ["weather", "time"]),
        ("time", ["time"]),
        ({"type": "function", "function": {"name": "weather"}}, ["weather"]),
    ],
)
async def test_required_call_is_a_schema(world: World, choice: Any, callable: list[str]) -> None:
    _, node = await ask(world, tools=[WEATHER, TIME], tool_choice=choice, parallel_tool_calls=False)

    request = decode_request(node.submits[0].request)
    allowed = json.loads(request.schema)["anyOf"]
    assert [one["properties"]["name"]["const"] for one in allowed] == callable
    assert [one["function"]["name"] for one in json.loads(request.tools)] == ["weather", "time"]
    assert all(one["properties"]["arguments"]["additionalProperties"] is False for one in allowed)


async def test_with_the_choice_none_nothing_is_offered(world: World) -> None:
    answer, node = await ask(world, tools=[WEATHER], tool_choice="none")

    assert decode_request(node.submits[0].request) == Request(messages=(QUESTION,))
    assert answer.calls == ()


async def test_schema_and_a_required_call_exclude_each_other(world: World) -> None:
    with pytest.raises(InvalidTools) as refused:
        await ask(world, tools=[WEATHER], tool_choice="required", schema=SCHEMA)

    assert refused.value.parameter == "tool_choice"


async def test_tools_for_a_plain_text_would_be_passed_over(world: World) -> None:
    node = await world.node()
    async with world.client() as client:
        with pytest.raises(InvalidTools):
            await client.generate("tally-tiny", "Once upon", tools=[WEATHER])

    assert node.submits == []


def test_dialogue_keeps_the_calls_of_its_answers() -> None:
    hosted = HostedTransport({"pieces": SAID})
    with hosted.client() as client:
        talk = client.dialogue("tally-tiny", tools=[WEATHER])
        (call,) = talk.say("Is it warm?").calls
        talk.say("Well?")

    assert isinstance(call, ToolCall)
    assert decode_request(hosted.nodes[0].submits[1].request).messages[1].tool_calls == (call,)
