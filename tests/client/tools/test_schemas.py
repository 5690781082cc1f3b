"""A schema inside another one still means what it meant, and a closed one takes no more than it names."""

import json
from typing import Any

import pytest
from jsonschema.validators import Draft202012Validator
from llguidance import LLMatcher

from tallynet.client.tools.definition import Function, Tool
from tallynet.client.tools.offer import offer_tools
from tallynet.client.tools.schemas import closed, moved

PLACE: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "near": {"type": "array", "items": {"$ref": "#/$defs/Place"}}},
    "required": ["city"],
}
TRIP: dict[str, Any] = {
    "type": "object",
    "properties": {"from": {"$ref": "#/$defs/Place"}, "to": {"anyOf": [{"$ref": "#/$defs/Place"}, {"type": "null"}]}},
    "required": ["from", "to"],
    "$defs": {"Place": PLACE},
}
TREE: dict[str, Any] = {"type": "object", "properties": {"below": {"$ref": "#"}}, "additionalProperties": False}
TOKYO = {"city": "Tokyo"}


@pytest.mark.parametrize(
    ("schema", "value", "fits"),
    [
        (TRIP, {"from": TOKYO, "to": None}, True),
        (TRIP, {"from": TOKYO, "to": {"city": "Nara", "near": [TOKYO]}}, True),
        (TRIP, {"from": TOKYO, "to": {"city": "Nara", "near": [{}]}}, False),
        (TREE, {"below": {"below": {}}}, True),
        (TREE, {"below": {"above": {}}}, False),
    ],
)
def test_it_takes_the_same_values(schema: dict[str, Any], value: Any, fits: bool) -> None:
    outer = {"anyOf": [{"type": "string"}, moved(schema, "/anyOf/1")]}

    assert Draft202012Validator(schema).is_valid(value) is fits
    assert Draft202012Validator(outer).is_valid(value) is fits


def test_what_is_no_reference_stays() -> None:
    schema = {
        "properties": {"$ref": {"const": {"$ref": "#/a"}}, "const": {"$ref": "#/a"}, "x": {"$ref": "https://a/b#/c"}},
        "enum": [{"$ref": "#/a"}],
    }
    there = moved(schema, "/p")

    assert there["properties"] == {
        "$ref": {"const": {"$ref": "#/a"}},
        "const": {"$ref": "#/p/a"},
        "x": {"$ref": "https://a/b#/c"},
    }
    assert there["enum"] == schema["enum"]


def test_required_call_of_a_tool_with_definitions_can_be_kept_to() -> None:
    tools = [Tool("function", Function("stay", "", PLACE | {"$defs": {"Place": PLACE}})),
             Tool("function", Function("travel", "", TRIP))]  # fmt: skip
    schema = offer_tools(tools, "required").schema

    LLMatcher.grammar_from_json_schema(schema)
    call = {"name": "travel", "arguments": {"from": TOKYO, "to": {"city": "Nara", "near": [TOKYO]}}}
    validator = Draft202012Validator(json.loads(schema))
    assert validator.is_valid(call)
    assert not validator.is_valid(call | {"name": "stay"})


def test_closed_schema_takes_only_what_it_names() -> None:
    schema = {
        "properties": {"a": PLACE, "b": {"properties": {}, "additionalProperties": {"type": "integer"}}},
        "$defs": {"P": PLACE},
        "default": {"properties": {}},
    }
    shut = closed(schema)

    assert shut["additionalProperties"] is False
    assert shut["$defs"] == {"P": PLACE | {"additionalProperties": False}}
    assert shut["default"] == {"properties": {}}
    validator = Draft202012Validator(shut)
    assert validator.is_valid({"a": TOKYO, "b": {"c": 1}})
    assert not validator.is_valid({"a": TOKYO | {"c": 1}})
    assert not validator.is_valid({"c": 1})


@pytest.mark.parametrize(
    "part",
    [
        {"allOf": [PLACE, {"properties": {"near": {}}}]},
        {"anyOf": [{"required": ["a"]}], "properties": {"a": {}}},
        {"$ref": "#/$defs/P", "properties": {"a": {}}},
    ],
)
def test_schemas_for_one_value_are_not_closed(part: dict[str, Any]) -> None:
    schema = {"properties": {"x": part}, "$defs": {"P": PLACE}}

    assert closed(schema) == schema


def test_one_schema_that_is_referred_to_alone_is_closed() -> None:
    schema = {"properties": {"x": {"allOf": [{"$ref": "#/$defs/P"}]}}, "$defs": {"P": PLACE}}

    assert not Draft202012Validator(closed(schema)).is_valid({"x": TOKYO | {"far": []}})
