"""YAML definitions: what is read, and what is refused before it can do harm."""

from pathlib import Path

import pytest

from tallynet.client.flow import Critic, Kind, Map, Split, parse_definition, read_definition
from tallynet.client.flow.definition import MAX_DEFINITION_BYTES
from tallynet.client.flow.inputs import read_inputs, salted
from tallynet.protocol.errors import InvalidFlow, Misconfigured
from tallynet.protocol.flow import Flow, Step

TEXT = """
name: words
inputs: {topic: text, tones: list}
steps:
  points:
    model: tally-tiny
    prompt: Points on {{ topic }}?
    max_tokens: 40
    temperature: 1
    stop: [yes, 2026-01-01]
  notes:
    model: tally-tiny
    map: {over: points, split: json}
    prompt: |
      {{ number }}. {{ item }}
  essay:
    model: other
    critic: {prompt: "Good? {{ draft }}", accept: no, revise: "{{ critique }}"}
    prompt: "{{ notes|join(' ') }}"
"""


def test_a_definition_is_read() -> None:
    flow = parse_definition(TEXT.encode()).flow

    assert flow.inputs == {"topic": Kind.TEXT, "tones": Kind.LIST}
    assert list(flow.steps) == ["points", "notes", "essay"]
    assert flow.steps["points"].temperature == 1.0
    assert flow.steps["points"].stop == ("yes", "2026-01-01")
    assert flow.steps["notes"].map == Map("points", Split.JSON)
    assert flow.steps["essay"].critic == Critic("Good? {{ draft }}", "no", "{{ critique }}")


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("max_tokens: 40", "max_token: 40", "max_token"),
        ("max_tokens: 40", "max_tokens: forty", "max_tokens"),
        ("max_tokens: 40", "max_tokens: 40\n    max_tokens: 41", "'max_tokens' stands twice"),
        ("max_tokens: 40", "max_tokens: &a 40", "anchors and aliases"),
        ("name: words", "name: *a", "anchors and aliases"),
        ("name: words", "name: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("name: words", "name: words\n5: x", "5 is no text"),
        ("name: words", "name: words\n--- {}", "expected a single document|but found"),
        ("name: words", "name: [words", "line"),
        ("name: words", "name: \x00", "line|special characters"),
        ("{topic: text, tones: list}", "[" * 200 + "]" * 200, "nested too deeply"),
        ("{{ number }}", "{{ nummer }}", "step 'notes'"),
        ("inputs:", "input:", "input"),
    ],
    ids=range(13),
)
def test_an_invalid_definition_is_refused(old: str, new: str, why: str) -> None:
    assert old in TEXT

    with pytest.raises(InvalidFlow, match=why) as caught:
        parse_definition(TEXT.replace(old, new, 1).encode())
    assert caught.value.check == 2


@pytest.mark.parametrize("data", [b"", b"\xff", b"[]", b"a" * (MAX_DEFINITION_BYTES + 1)], ids=range(4))
def test_what_is_no_definition_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidFlow):
        parse_definition(data)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot be read"):
        read_definition(tmp_path / "missing.yaml")


FLOW = Flow("x", {"a": Step("m", "{{ one }}")}, {"one": Kind.TEXT, "many": Kind.LIST})


def test_inputs_are_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("first\n\nsecond\n")
    file = f"@{tmp_path / 'file'}"

    assert read_inputs(FLOW, ["one=a=b", "many=x", f"many={file}"]) == {"one": "a=b", "many": ("x", "first", "second")}
    assert read_inputs(FLOW, [f"one={file}"]) == {"one": "first\n\nsecond\n"}


@pytest.mark.parametrize(
    ("texts", "why"),
    [
        (["two=x"], "no input"),
        (["one"], "no input"),
        (["one=a", "one=b"], "given 2 times"),
        (["one=@missing"], "cannot be read"),
    ],
    ids=range(4),
)
def test_wrong_inputs_are_refused(texts: list[str], why: str) -> None:
    with pytest.raises(Misconfigured, match=why):
        read_inputs(FLOW, texts)


def test_every_input_has_a_salt_of_its_own() -> None:
    opened = salted({"one": "same", "other": "same"})

    assert opened["one"].commitment != opened["other"].commitment
