"""(13): start with a flow in the words of templates that ship, and change one thing."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from tallynet.client.flow import Flow, Kind, Step, task_step
from tallynet.protocol.bundle_checks import State
from tallynet.protocol.errors import InvalidFlow
from tallynet.protocol.flow import TaskWords
from tallynet.protocol.units import Digest
from tallynet.templates.shelf import find_template, list_templates
from tallynet.templates.template import Template
from tallynet.templates.wording_check import CheckedWords, check_words

OTHER = Digest(bytes(32))


def checked(step: Step) -> CheckedWords:
    """Of a flow with a step before it that names no template."""
    return check_words(Flow("f", {"b": Step("m", "x"), "a": step}, {"text": Kind.TEXT}))


def translation(model: str = "m") -> Step:
    return task_step("translate", model, {"text": "{{ text }}", "to": "fr"})


def with_task(step: Step, **fields: Any) -> Step:
    assert step.task is not None
    return structs.replace(step, task=structs.replace(step.task, **fields))


ANSWER = task_step("answer", "m", {"question": "Why?", "passages": ["{{ text }}"]}, raw=True, stop=["x"])


@pytest.mark.parametrize("step", [translation(), ANSWER, translation("opus-mt-en-fr")], ids=range(3))
def test_words_that_are_their_template_s(step: Step) -> None:
    found = checked(step)

    assert (found.state, found.detail, found.unchecked) == (State.OK, "1 task", {})


def test_a_flow_without_tasks() -> None:
    found = checked(Step("m", "x"))

    assert (found.state, found.detail) == (State.OK, "0 tasks")


def test_a_template_that_does_not_ship_is_not_checked_and_named() -> None:
    step = structs.replace(with_task(translation(), digest=OTHER, template="mine@3"), prompt="{{ text }}, I say!")
    found = checked(step)

    assert (found.state, found.detail) == (State.SKIPPED, "not checked: mine@3")
    assert found.unchecked == {"a": step.task}


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (with_task(translation(), template="translate@2"), "called translate@2"),
        (with_task(translation(), inputs={"text": "{{ text }}", "to": "de"}), "prompt"),
        (with_task(translation(), inputs={"text": "{{ text }}"}), "cannot be made: .* lacks to"),
        (with_task(translation(), inputs={"text": "{{ text", "to": "fr"}), "cannot be read"),
        (with_task(translation(), inputs={"text": "{{ text }}", "to": ("fr",)}), "named by a text"),
        (structs.replace(translation(), prompt="Translate into French {{ text }}"), "prompt"),
        (structs.replace(translation(), system=""), "system"),
        (structs.replace(translation(), raw=True), "prompt"),
        (structs.replace(ANSWER, stop=("x",)), "stop"),
        (with_task(ANSWER, documents=()), "documents"),
        (with_task(ANSWER, inputs={"question": "Why?", "passages": 3}), "cannot be made"),
    ],
    ids=range(11),
)
def test_words_that_are_not(broken: Step, why: str) -> None:
    with pytest.raises(InvalidFlow, match=why) as refused:
        checked(broken)

    assert (refused.value.step, refused.value.check) == ("a", 13)


def test_a_deep_schema_is_refused_and_not_followed() -> None:
    extract = find_template("extract")
    task = TaskWords(extract.label, extract.digest, {"text": "x", "schema": "[" * 16000})

    with pytest.raises(InvalidFlow, match="no JSON"):
        checked(Step("m", "x", task=task))


TEXTS = st.text(max_size=12) | st.sampled_from(
    ["{{ text }}", "{{ b|trim }}", "{% if b %}x{% endif %}", "{{", "\0" + "0\0", "fr"]
)
INPUTS = TEXTS | st.booleans() | st.integers(0, 2**31 - 1) | st.lists(TEXTS, max_size=3).map(tuple)


@settings(max_examples=150, deadline=None)
@given(data=st.data(), template=st.sampled_from(list_templates()), raw=st.booleans())
def test_whatever_a_stranger_writes_is_compared_or_refused_by_number(
    data: st.DataObject, template: Template, raw: bool
) -> None:
    inputs = data.draw(st.fixed_dictionaries(dict.fromkeys(template.inputs, INPUTS)))
    task = TaskWords(template.label, template.digest, inputs)

    with pytest.raises(InvalidFlow) as refused:
        check_words(Flow("f", {"a": Step("m", "\1", raw=raw, task=task)}))
    assert (refused.value.step, refused.value.check) == ("a", 13)
