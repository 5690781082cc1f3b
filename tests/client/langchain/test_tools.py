"""Tools of LangChain's on their way to the node, and its calls on their way back."""

import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import StructuredTool
from pydantic import BaseModel

from tallynet.client.langchain import ChatTallynet, TallynetLLM
from tallynet.client.langchain.messages import make_request
from tallynet.client.tools.definition import InvalidTools
from tallynet.protocol.chunk import ChunkBody
from tallynet.protocol.errors import InvalidJob
from tallynet.protocol.request import Message, Request, ToolCall, decode_request
from tests.client.hosted import HostedTransport
from tests.client.langchain.networks import client, transport
from tests.client.langchain.obedient import SAID

pytestmark = pytest.mark.langchain

WEATHER = '<tool_call>{"name": "weather", "arguments": {"city": "Tokyo"}}</tool_call>'
BOTH = f'I look. {WEATHER}<tool_call>{{"name": "time", "arguments": {{}}}}</tool_call>'
PIECES = tuple(ChunkBody((number,), BOTH[at : at + 7], (-0.5,)) for number, at in enumerate(range(0, len(BOTH), 7)))


def look(city: str) -> str:
    """How warm it is."""
    return f"21 degrees in {city}"


weather = StructuredTool.from_function(look, name="weather")


class Time(BaseModel):
    """What time it is."""


def model() -> ChatTallynet:
    return ChatTallynet(model="obedient", client=client())


def asked() -> Request:
    """What the node was asked last."""
    return decode_request(transport().nodes[-1].submits[-1].request)


def test_a_call_is_made_answered_and_spoken_of() -> None:
    able = model().bind_tools([weather, Time])
    question = HumanMessage("How warm is 'Tokyo'?")
    called = able.invoke([question])
    (call,) = called.tool_calls
    answer = able.invoke([question, called, weather.invoke(call)])

    assert (call["name"], call["args"]) == ("weather", {"city": "Tokyo"})
    assert called.content == ""
    assert called.response_metadata["finish_reason"] == "tool_calls"
    number = str(call["id"])
    assert number.startswith("call_" + called.response_metadata["job"][2:26])
    assert answer.text == SAID and answer.response_metadata["finish_reason"] == "stop"
    request = asked()
    assert request.messages[1:] == (
        Message("assistant", "", tool_calls=(ToolCall(number, "weather", '{"city":"Tokyo"}'),)),
        Message("tool", "21 degrees in Tokyo", tool_call_id=number),
    )
    assert [told["function"]["name"] for told in json.loads(request.tools)] == ["weather", "Time"]


async def test_streamed_calls_are_those_of_the_whole_answer() -> None:
    hosted = HostedTransport({"pieces": PIECES})
    with hosted.client() as opened:
        able = ChatTallynet(model="tally-tiny", client=opened).bind_tools([weather, {"name": "time"}])
        whole = await able.ainvoke("How warm is it?")
        chunks = [chunk async for chunk in able.astream("How warm is it?")]
        more = list(able.stream("How warm is it?"))

    assert whole.content == "I look. "
    assert [call["name"] for call in whole.tool_calls] == ["weather", "time"]
    for told in (chunks, more):
        assert all(chunk.content or chunk.tool_call_chunks for chunk in told[:-1])
        pieces = [call for chunk in told for call in chunk.tool_call_chunks]
        assert [(call["index"], call["name"]) for call in pieces] == [(0, "weather"), (1, "time")]
        together = sum(told[1:], told[0])
        assert isinstance(together, AIMessageChunk)
        assert together.content == "I look. "
        assert [(call["name"], call["args"]) for call in together.tool_calls] == [
            ("weather", {"city": "Tokyo"}),
            ("time", {}),
        ]
        assert len({call["id"] for call in together.tool_calls}) == 2


@pytest.mark.parametrize(
    ("choice", "offered", "callable"),
    [
        (None, 2, []),
        (False, 2, []),
        ("auto", 2, []),
        ("none", 0, []),
        ("any", 2, ["weather", "Time"]),
        ("required", 2, ["weather", "Time"]),
        (True, 2, ["weather", "Time"]),
        ("Time", 2, ["Time"]),
        ({"type": "function", "function": {"name": "weather"}}, 2, ["weather"]),
    ],
)
def test_choice_is_what_the_node_is_asked(choice: Any, offered: int, callable: list[str]) -> None:
    model().bind_tools([weather, Time], tool_choice=choice).invoke("Hi")

    request = asked()
    allowed = json.loads(request.schema)["anyOf"] if request.schema else []
    assert len(json.loads(request.tools or "[]")) == offered
    assert [one["properties"]["name"]["const"] for one in allowed] == callable


def test_strict_and_single_calls_are_possible_where_a_call_is_required() -> None:
    able = model().bind_tools([weather], tool_choice="any", strict=True, parallel_tool_calls=False)

    assert len(able.invoke("Hi").tool_calls) == 1


@pytest.mark.parametrize(
    ("tools", "options"),
    [
        ([weather], {"strict": True}),
        ([weather], {"parallel_tool_calls": False}),
        ([weather], {"tool_choice": "rain"}),
        ([weather, weather], {}),
        ([{"type": "web_search"}], {}),
        ([], {"tool_choice": "any"}),
    ],
)
def test_what_nothing_would_keep_is_refused(tools: Any, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidTools):
        model().bind_tools(tools, **options).invoke("Hi")


@pytest.mark.parametrize("kind", [ChatTallynet, TallynetLLM])
def test_option_that_would_be_passed_over_is_refused(kind: Any) -> None:
    with pytest.raises(InvalidJob, match="presence_penalty"):
        kind(model="obedient", client=client()).invoke("Hi", presence_penalty=1)


def test_calls_that_others_write_into_the_content_stand_once() -> None:
    call: Any = {"name": "weather", "args": {"city": "Tokyo"}, "id": "1", "type": "tool_call"}
    used = {"type": "tool_use", "id": "1", "name": "weather", "input": {"city": "Tokyo"}}
    said = AIMessage([{"type": "text", "text": "I look."}, used], tool_calls=[call])
    request = make_request([said, ToolMessage([{"type": "text", "text": "21"}], tool_call_id="1")])

    assert request.messages == (
        Message("assistant", "I look.", tool_calls=(ToolCall("1", "weather", '{"city":"Tokyo"}'),)),
        Message("tool", "21", tool_call_id="1"),
    )
