"""Words made from a template: what is filled in, how examples are shown, what is sealed, and what is refused."""

from typing import Any

import pytest

from tallynet.client.tasks import find_template, read_template, show_prompt
from tallynet.client.tasks.preparing import PreparedTask, prepare_task
from tallynet.client.terms import AskOptions
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.request import MAX_REQUEST_BYTES, Message
from tallynet.protocol.units import Digest

SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}}


def prepared(task: str, inputs: dict[str, Any], model: str = "some-chat", **options: Any) -> PreparedTask:
    return prepare_task(task, model, model, inputs, **options)


def own(text: str, **inputs: Any) -> PreparedTask:
    """A prompt from a template of one line."""
    lines = f'name = "own"\nversion = 1\nabout = "x"\ninputs = {{x = "x"}}\n[[forms]]\nuser = {text!r}'
    return prepare_task(read_template(lines.encode(), "own"), "m", "m", inputs)


def test_messages_and_after_them_the_text_for_models_that_take_none() -> None:
    task = prepared("translate", {"text": "cat", "to": "fr"})

    assert [turn.content for turn in task.request.messages][-1] == "Translate into French: cat"
    assert task.ways[1].request.text == "English: cat\nFrench:"
    assert task.ways[1].stop == ("\n",)


@pytest.mark.parametrize(
    ("model", "asked"),
    [
        ("tally-tiny", "[user]\nTranslate cat into French."),
        ("Helsinki-NLP/opus-mt-en-fr", "cat"),
        ("google/flan-t5-small", "translate English to French: cat"),
        ("madlad400-3b-mt", "<2fr> cat"),
    ],
)
def test_models_that_know_one_form_only_get_it(model: str, asked: str) -> None:
    assert show_prompt(prepared("translate", {"text": "cat", "to": "fr"}, model).request) == asked


def test_a_language_may_be_named() -> None:
    assert "into Old Norse:" in show_prompt(prepared("translate", {"text": "cat", "to": "Old Norse"}).request)
    with pytest.raises(Misconfigured, match="'xx'"):
        prepared("translate", {"text": "cat", "to": "xx"})


def test_passages_are_numbered_and_sealed() -> None:
    digests = [Digest(bytes([number]) * 32) for number in range(2)]
    task = prepared("answer", {"question": "Why?", "passages": ["One.", "Two."]}, documents=digests)
    system, question = task.request.messages

    assert system.content.endswith("[1] One.\n\n[2] Two.")
    assert question == Message("user", "Why?")
    for way in task.ways:
        assert way.request.documents == tuple(digests)
        assert way.request.template == find_template("answer").digest


def test_examples_are_turns_of_a_dialogue_or_lines_before_the_text() -> None:
    examples = [{"text": "dog", "answer": "chien"}]
    task = prepared("translate", {"text": "cat", "to": "fr"}, examples=examples)
    roles = [(turn.role, turn.content) for turn in task.request.messages[1:]]

    assert roles == [
        ("user", "Translate into French: dog"), ("assistant", "chien"), ("user", "Translate into French: cat")
    ]  # fmt: skip
    assert task.ways[1].request.text == "English: dog\nFrench: chien\n\nEnglish: cat\nFrench:"


@pytest.mark.parametrize(
    ("examples", "model"),
    [
        ([{"text": "dog"}], "some-chat"),
        ([{"text": "dog", "answer": "chien", "colour": "brown"}], "some-chat"),
        ([{}], "some-chat"),
        ([{"text": "dog", "answer": "chien"}], "opus-mt-en-fr"),
    ],
)
def test_examples_that_do_not_fit_are_refused(examples: list[dict[str, str]], model: str) -> None:
    with pytest.raises(Misconfigured):
        prepared("translate", {"text": "cat", "to": "fr"}, model, examples=examples)


def test_a_dialogue_without_instructions_has_no_system_message() -> None:
    assert [turn.role for turn in prepared("dialogue", {"text": "Hi"}).request.messages] == ["user"]
    instructed = prepared("dialogue", {"text": "Hi", "instructions": "Be brief."})
    assert instructed.request.messages[0] == Message("system", "Be brief.")


@pytest.mark.parametrize(
    ("task", "inputs", "reason"),
    [
        ("translate", {"text": "cat"}, "lacks to"),
        ("translate", {"text": "cat", "to": "fr", "tone": "x"}, "takes no tone"),
        ("classify", {"text": "x", "labels": []}, "labels"),
        ("classify", {"text": "x", "labels": "good"}, "labels"),
        ("classify", {"text": "x", "labels": [1]}, "labels"),
        ("extract", {"text": "x", "schema": "object"}, "no JSON schema"),
        ("extract", {"text": "x", "schema": {"type": "sentence"}}, "no JSON schema"),
    ],
)
def test_inputs_that_do_not_fit_are_refused_before_anything_is_asked(
    task: str, inputs: dict[str, Any], reason: str
) -> None:
    with pytest.raises(Misconfigured, match=reason):
        prepared(task, inputs)


def test_a_schema_is_written_out() -> None:
    assert '"name": {' in prepared("extract", {"text": "x", "schema": SCHEMA}).request.messages[0].content


def test_inputs_are_words_and_no_templates() -> None:
    assert "{{ 7 }}{% for %}" in show_prompt(prepared("summarise", {"text": "{{ 7 }}{% for %}"}).request)


@pytest.mark.parametrize(
    "text",
    [
        "{{ y }}",
        "{{ x.__class__.__mro__ }}",
        "{{ x.append(1) }}",
        "{{ 'a' * 9999999999 }}",
        "{{ 9 ** 99999999 }}",
        "{% for a in range(99999999) %}b{% endfor %}",
        "{% include 'other' %}",
        "{{ x | nonsense }}",
        "{{ ",
    ],
)
def test_a_template_reaches_nothing_but_its_inputs(text: str) -> None:
    with pytest.raises(Misconfigured, match="own@1"):
        own(text, x=["a"])


def test_a_template_does_not_write_for_ever() -> None:
    lines = "{% for a in range(1000) %}{% for b in range(1000) %}" + "c" * 10 + "{% endfor %}{% endfor %}"
    with pytest.raises(Misconfigured, match=str(MAX_REQUEST_BYTES)):
        own(lines, x="")


def test_too_many_passages_are_refused() -> None:
    with pytest.raises(Misconfigured, match="65 passages"):
        prepared("answer", {"question": "?", "passages": ["x"]}, documents=[Digest(bytes(32))] * 65)


def test_the_options_of_whoever_asks_come_over_those_of_the_template() -> None:
    task = prepared("translate", {"text": "cat", "to": "fr"})

    first, second = (options for _, options in task.ask(AskOptions(stop="END", temperature=0.5)))
    assert first == {"max_tokens": 512, "stop": ("END",), "temperature": 0.5}
    assert second["stop"] == ("\n", "END")
    assert task.ask(AskOptions(max_tokens=7))[0][1]["max_tokens"] == 7
