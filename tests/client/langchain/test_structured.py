"""Schemas of LangChain's on their way to the node, and what is read of the answers."""

import json
from typing import Any, TypedDict

import pytest
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage
from pydantic import BaseModel, Field

from tallynet.client.langchain import ChatTallynet
from tallynet.protocol.chunk import ChunkBody
from tallynet.protocol.leaf import Status
from tests.client.hosted import HostedTransport
from tests.client.langchain.networks import client
from tests.client.langchain.test_tools import asked
from tests.client.scripted_node import leaf_with

pytestmark = pytest.mark.langchain


class Place(BaseModel):
    city: str = Field(description="Its name.")
    near: list["Place"] = []


class Trip(BaseModel):
    """From one place to another."""

    start: Place
    end: Place
    days: int


class Told(TypedDict):
    """A place."""

    city: str


FUNCTION = {"name": "go", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
OPEN = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def model() -> ChatTallynet:
    return ChatTallynet(model="obedient", client=client())


def test_answer_is_read_as_the_class() -> None:
    trip = model().with_structured_output(Trip).invoke("'Tokyo' in 3 days")

    assert trip == Trip(start=Place(city="Tokyo"), end=Place(city="Tokyo"), days=3)
    schema = json.loads(asked().schema)
    assert schema["$defs"]["Place"]["additionalProperties"] is False
    assert schema["properties"]["start"] == {"$ref": "#/$defs/Place"}
    assert asked().tools == ""


def test_call_of_a_class_with_others_inside_is_read_as_the_class() -> None:
    trip = model().with_structured_output(Trip, method="function_calling").invoke("'Tokyo' in 3 days")

    assert trip == Trip(start=Place(city="Tokyo"), end=Place(city="Tokyo"), days=3)
    assert json.loads(asked().tools)[0]["function"]["description"] == "From one place to another."


@pytest.mark.parametrize(
    ("schema", "strict", "is_closed"),
    [
        (OPEN, None, True),
        (OPEN, True, True),
        (OPEN, False, False),
        (Told, None, True),
        (FUNCTION, None, True),
        ({"type": "function", "function": FUNCTION}, None, True),
        (OPEN | {"additionalProperties": True}, None, False),
    ],
)
def test_object_has_no_members_that_its_schema_does_not_name(schema: Any, strict: bool | None, is_closed: bool) -> None:
    told = model().with_structured_output(schema, strict=strict).invoke("'Tokyo'")

    assert told in ({"city": "Tokyo"}, {})
    asked_for = json.loads(asked().schema)
    assert asked_for["properties"]["city"]["type"] == "string"
    assert (asked_for.get("additionalProperties") is False) is is_closed


def test_json_mode_asks_for_any_object() -> None:
    assert model().with_structured_output(OPEN, method="json_mode").invoke("'city'") == {"city": "Meow."}
    assert json.loads(asked().schema) == {"type": "object"}


def test_raw_message_comes_with_what_was_read() -> None:
    told: Any = model().with_structured_output(OPEN, include_raw=True).invoke("'Tokyo'")

    assert told["parsed"] == {"city": "Tokyo"}
    assert told["parsing_error"] is None
    assert told["raw"].response_metadata["evidence"] == "signed"


async def test_answer_that_was_cut_off_is_an_error() -> None:
    cut = tuple(ChunkBody((number,), text, (-0.5,)) for number, text in enumerate(('{"city":', '"Tok')))
    hosted = HostedTransport({"pieces": cut, "change_leaf": leaf_with(status=Status.LENGTH)})
    with hosted.client() as opened:
        short = ChatTallynet(model="tally-tiny", client=opened, max_tokens=2)
        with pytest.raises(OutputParserException, match="max_tokens"):
            short.with_structured_output(OPEN).invoke("'Tokyo'")
        with pytest.raises(OutputParserException, match="max_tokens"):
            [part async for part in short.with_structured_output(OPEN).astream("'Tokyo'")]
        with pytest.raises(OutputParserException, match="max_tokens"):
            await short.with_structured_output(Trip, method="function_calling").ainvoke("'Tokyo'")
        told: Any = short.with_structured_output(OPEN, include_raw=True).invoke("'Tokyo'")

    assert isinstance(told["raw"], AIMessage)
    assert told["parsed"] is None
    assert isinstance(told["parsing_error"], OutputParserException)
