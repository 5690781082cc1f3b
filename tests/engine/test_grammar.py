"""Schemas as automata over a model's tokens: what they let come next, and what is refused by name."""

import json
from functools import cache
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field

from tallynet.devnet.plan import DEFAULT_MODEL
from tallynet.engine.grammar import Grammars
from tallynet.engine.tokenizer import Tokenizer
from tallynet.protocol.errors import InvalidJob, Unreachable
from tests.engine.checkpoints import VOCABULARY
from tests.engine.conftest import Directory
from tests.engine.translators import make_translator

END, SIZE = 2, 2048
"""Of the model that comes with the package."""
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["city", "people"],
    "additionalProperties": False,
}


@cache
def tokenizer() -> Tokenizer:
    return Tokenizer(DEFAULT_MODEL)


@cache
def grammars() -> Grammars:
    return Grammars(tokenizer(), SIZE, {END})


def lets_through(schema: Any, text: str, end: int = END) -> bool:
    """Whether the whole text may be an answer."""
    guide = grammars().guide(json.dumps(schema))
    for token in (*tokenizer().encode_text(text), end):
        if not guide.permits(token):
            return False
        if token != end:
            guide.advance(token)
    return True


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        (CITY, '{"city":"東京","people":14}', '{"city":"Tokyo"}'),
        (CITY, '{"city":"","people":-1}', '{"people":1,"city":"Tokyo"}'),
        (CITY, '{"city":"a\\n\\"","people":0}', '{"city": "Tokyo","people":1}'),
        (CITY, '{"city":"Oslo","people":7}', '{"city":"Oslo","people":7,"more":1}'),
        ({"enum": ["red", "green", 3]}, "3", '"blue"'),
        ({"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 2}, "[true,false]", "[]"),
        ({"type": "integer", "minimum": 5, "maximum": 30}, "17", "31"),
        ({"type": "string", "pattern": "^[a-c]{2}$"}, '"ab"', '"abc"'),
        ({"type": ["string", "null"], "maxLength": 3}, "null", '"four"'),
        ({"anyOf": [{"const": "x"}, {"type": "number"}]}, "-2.5e3", "true"),
        ({"type": "object"}, '{"any":{"thing":[1,{}]}}', "[]"),
        ({"$ref": "#/$defs/t", "$defs": {"t": {"type": "array", "items": {"$ref": "#/$defs/t"}}}}, "[[],[[]]]", "[1]"),
    ],
    ids=str,
)
def test_text_that_satisfies_the_schema_gets_through_and_no_other(schema: Any, good: str, bad: str) -> None:
    assert lets_through(schema, good)
    assert not lets_through(schema, bad)


def test_control_tokens_never_come_but_for_the_end() -> None:
    guide = grammars().guide('{"type": "string"}')
    guide.advance(tokenizer().encode_text('"')[-1])

    assert not any(guide.permits(token) for token in (0, 1, 2))


def test_nothing_but_an_end_comes_after_the_end_of_the_json() -> None:
    guide = grammars().guide('{"enum": [true]}')
    for token in tokenizer().encode_text("true"):
        guide.advance(token)

    assert [token for token in range(SIZE) if guide.permits(token)] == [END]


def test_a_guide_begins_anew_each_time() -> None:
    schema = '{"enum": ["a"]}'
    first = grammars().guide(schema)
    begin = first.allowed
    first.advance(tokenizer().encode_text('"a')[0])

    assert grammars().guide(schema).allowed == begin != first.allowed


@pytest.mark.parametrize(
    "schema",
    [
        '{"type": "foo"}',
        '{"not": {"type": "string"}}',
        '{"type": "array", "uniqueItems": true}',
        '{"oneOf": [{"type": "string"}, {"minLength": 3}]}',
        '{"$ref": "http://example.com/schema.json"}',
        '{"$ref": "#/nowhere"}',
        '{"enum": []}',
        '{"type": "string", "minLength": 3, "maxLength": 1}',
        '{"not": {}, "x-guidance": {"lenient": true}}',
        "[]",
        "no JSON",
    ],
)
def test_schema_that_cannot_be_kept_to_is_refused(schema: str) -> None:
    with pytest.raises(InvalidJob, match="the schema cannot be kept to") as refused:
        grammars().guide(schema)

    assert refused.value.check == 9


def test_schema_has_no_say_in_the_options() -> None:
    schema = {**CITY, "x-guidance": {"whitespace_flexible": True}}

    assert not lets_through(schema, '{"city": "Oslo", "people": 7}')


def test_schema_that_costs_too_much_is_refused() -> None:
    deep = '{"type": "array", "items": ' * 300 + "{}" + "}" * 300
    wide = json.dumps({"type": "string", "pattern": "(" + "|".join(f"{n}.*{n}.*" for n in range(300)) + "){1,200}"})
    for schema in (deep, wide):
        try:
            grammars().guide(schema)
        except InvalidJob as refused:
            assert refused.check == 9


def test_automaton_that_grows_too_large_ends_the_answer_and_tells_nothing_of_it() -> None:
    members = {f"p{number}": {"type": ["string", "integer", "null"]} for number in range(600)}
    guide = grammars().guide(json.dumps({"type": "object", "properties": members}))
    with pytest.raises(Unreachable, match="cannot be followed any further") as lost:
        guide.advance(tokenizer().encode_text("{")[-1])

    assert "Tokens" not in lost.value.message


def test_schemas_as_pydantic_writes_them_are_kept_to() -> None:
    class Inner(BaseModel):
        count: int = Field(ge=0, le=5, description="How many.")
        note: str | None = None

    class Outer(BaseModel):
        name: str
        inner: list[Inner]
        kind: Literal["a", "b"]

    good = '{"name":"x","inner":[{"count":5,"note":null}],"kind":"b"}'
    assert lets_through(Outer.model_json_schema(), good)
    assert not lets_through(Outer.model_json_schema(), good.replace("5", "6"))


def test_tokens_of_every_family_are_read(checkpoint: Directory) -> None:
    of_family = Grammars(Tokenizer(checkpoint("gpt2")), VOCABULARY, {0, 2})
    guide = of_family.guide('{"enum": [true]}')

    assert of_family.possible
    assert any(guide.permits(token) for token in range(VOCABULARY))


def test_model_without_an_end_keeps_to_no_schema(checkpoint: Directory) -> None:
    endless = Grammars(Tokenizer(checkpoint("gpt2")), VOCABULARY, ())

    assert not endless.possible
    with pytest.raises(InvalidJob):
        endless.guide("{}")


def test_tokens_that_make_other_text_than_their_bytes_are_not_used(tmp_path: Path) -> None:
    directory = make_translator("t5", tmp_path / "t5")
    with pytest.raises(InvalidJob):
        Grammars(Tokenizer(directory), 10_000, {1}).guide("{}")
