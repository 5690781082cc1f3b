"""YAML definitions: what is read, and what is refused before it can do harm."""

from hashlib import sha256
from pathlib import Path

import pytest

from tallynet.client.flow import Critic, Kind, Map, Split, Vote, parse_definition, read_definition, task_step
from tallynet.client.flow.definition import MAX_DEFINITION_BYTES
from tallynet.client.flow.inputs import read_inputs, salted
from tallynet.protocol.errors import InvalidFlow, Misconfigured
from tallynet.protocol.flow import Flow, Step, TaskWords
from tallynet.protocol.units import Digest

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


# --- tasks -----------------------------------------------------------------------------------------------

TASKS = """
name: tasks
inputs: {word: text}
steps:
  french: {model: tally-tiny, task: translate@1, with: {text: "{{ word }}", to: fr}, temperature: 1}
  same:
    model: other
    task: classify
    with: {text: "{{ french }}", labels: [yes, no]}
    raw: true
    stop: [x]
    vote: {ballots: 3}
"""
OWN = 'name = "own"\nversion = 7\nabout = "x"\n[inputs]\nx = "x"\n[[forms]]\nuser = "Say {{ x }}"\n'


def test_a_task_gives_a_step_its_words() -> None:
    flow = parse_definition(TASKS.encode()).flow
    french, same = flow.steps["french"], flow.steps["same"]

    assert french == task_step("translate", "tally-tiny", {"text": "{{ word }}", "to": "fr"}, temperature=1.0)
    assert (french.prompt, french.max_tokens) == ("Translate {{ word }} into French.", 512)
    assert french.task is not None and french.task.template == "translate@1"
    assert (same.raw, same.stop, same.max_tokens, same.vote) == (True, ("\n", "x"), 32, Vote(3))
    assert same.prompt.endswith("Text: {{ french }}\nLabel:")


def test_a_task_of_one_s_own_is_written_into_the_definition(tmp_path: Path) -> None:
    (tmp_path / "own-7.toml").write_text(OWN)
    (tmp_path / "flow.yaml").write_text("name: x\nsteps:\n  a: {model: m, task: own, with: {x: it}}")
    (step,) = read_definition(tmp_path / "flow.yaml", tmp_path).flow.steps.values()

    assert step.prompt == "Say it"
    assert step.task == TaskWords("own@7", Digest(sha256(OWN.encode()).digest()), {"x": "it"})


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("task: translate@1", "task: [translate]", "`task` as a name"),
        ("task: translate@1, ", "", "`task` as a name"),
        ("task: translate@1", "task: translate@2", "no template 'translate@2'"),
        ("task: translate@1", "task: translate@1, prompt: x", "'prompt' too"),
        ("to: fr}", "to: 1.5}", "input 'to'"),
        ("to: fr}", "tone: kind}", "lacks to"),
        ("to: fr}", "to: 7}", "named by a text"),
        ("{{ word }}", "{{ ward }}", "'ward'"),
        ("labels: [yes, no]", "labels: []", "labels"),
        ("stop: [x]", "stop: 3", "stop"),
        ("model: other", "", "model"),
    ],
    ids=range(11),
)
def test_a_task_that_cannot_be_worded_is_refused(old: str, new: str, why: str) -> None:
    assert old in TASKS

    with pytest.raises(InvalidFlow, match=why) as caught:
        parse_definition(TASKS.replace(old, new, 1).encode())
    assert caught.value.check == 2


# --- inputs ----------------------------------------------------------------------------------------------

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
