"""What is made of a model's words, and what is refused as unfit."""

from typing import Any

import pytest

from tallynet.client.tasks import find_template
from tallynet.client.tasks.reading import read_json, read_label, read_value
from tallynet.protocol.errors import Misconfigured, UnfitAnswer

LABELS = ["good", "bad", "not good"]
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "people": {"type": "integer", "minimum": 0}},
    "required": ["city"],
    "additionalProperties": False,
}


def test_a_text_is_itself() -> None:
    assert read_value(find_template("summarise"), {}, " A summary.\n") == "A summary."


@pytest.mark.parametrize(
    ("text", "label"),
    [("good", "good"), (" Good.\n", "good"), ('"bad"', "bad"), ("The label is bad.", "bad"), ("NOT GOOD", "not good")],
)
def test_a_label_is_found(text: str, label: str) -> None:
    assert read_label(text, LABELS) == label


@pytest.mark.parametrize("text", ["", "goodness", "either good or bad", "fine"])
def test_no_label_or_several_are_unfit(text: str) -> None:
    with pytest.raises(UnfitAnswer) as refusal:
        read_label(text, LABELS)
    assert refusal.value.text == text


@pytest.mark.parametrize(
    "text",
    [
        '{"city": "Oslo"}',
        'Here it is:\n```json\n{"city": "Oslo"}\n```\nAnything else?',
        ' {"city": "Oslo"} {"more": 1}',
    ],
)
def test_json_is_found_whatever_stands_around_it(text: str) -> None:
    assert read_value(find_template("extract"), {"schema": SCHEMA}, text) == {"city": "Oslo"}


@pytest.mark.parametrize(
    "text", ["", "Oslo", '{"city": "Oslo"', "{'city': 'Oslo'}", '{"people": NaN}', "[" * 100_000, "{" * 10]
)
def test_what_is_no_json_is_unfit(text: str) -> None:
    with pytest.raises(UnfitAnswer):
        read_json(text)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"people": 3}', r"\$: 'city' is a required"),
        ('{"city": 3}', r"\$\.city: 3 is not of type"),
        ('{"city": "Oslo", "people": -1}', r"\$\.people"),
        ('{"city": "Oslo", "size": 1}', r"\$: Additional"),
        ("[1]", r"\$: \[1\]"),
    ],
)
def test_json_that_does_not_fit_the_schema_is_unfit_and_says_where(text: str, place: str) -> None:
    with pytest.raises(UnfitAnswer, match=place):
        read_value(find_template("extract"), {"schema": SCHEMA}, text)


@pytest.mark.parametrize("reference", ["https://example.org/schema.json", "file:///etc/passwd", "#/missing"])
def test_a_schema_that_refers_elsewhere_is_refused_and_nothing_is_fetched(reference: str) -> None:
    with pytest.raises(Misconfigured, match="not in it"):
        read_value(find_template("extract"), {"schema": {"$ref": reference}}, "{}")
