"""A template's words for a step: the same as when it is asked with known inputs, and in no other language."""

from typing import Any

import pytest

from tallynet.protocol.errors import InvalidFlow, Misconfigured
from tallynet.protocol.flow import TaskInput
from tallynet.protocol.flow_template import Value, read_template, render
from tallynet.templates.jinja import render as fill_in
from tallynet.templates.shelf import find_template, list_templates
from tallynet.templates.template import Template
from tallynet.templates.template import read_template as read_file
from tallynet.templates.wording import Wording, word

INPUTS: dict[str, dict[str, TaskInput]] = {
    "answer": {"question": "{{ a }}", "passages": ("{{ b }}", "known", "{{ a }} and {{ b }}")},
    "classify": {"text": "{{ a }}", "labels": ("good", "{{ b }}")},
    "code": {"text": "{{ a }}", "language": "Python"},
    "dialogue": {"text": "{{ a }}", "instructions": "{{ b }}"},
    "extract": {"text": "{{ a }}", "schema": '{"type": "object", "title": "{{%"}'},
    "summarise": {"text": "{{ a }}", "words": 9, "part": True},
    "translate": {"text": "{{ a }}", "to": "fr"},
}
VALUES: dict[str, Value] = {"a": "one {{ b }}", "b": "two\n{% x"}


def worded(name: str = "translate", model: str = "some-chat", raw: bool = False, **inputs: TaskInput) -> Wording:
    return word(find_template(name), model, {**INPUTS[name], **inputs}, raw=raw)


def own(user: str, **fields: str) -> Template:
    more = "\n".join(f"{name} = {value}" for name, value in fields.items())
    lines = f'name = "own"\nversion = 1\nabout = "x"\ninputs = {{x = "x"}}\n[[forms]]\nuser = {user!r}\n{more}'
    return read_file(lines.encode(), "own")


def known(name: str) -> dict[str, Any]:
    """The inputs as whoever asks without a flow gives them."""

    def text(value: Any) -> Any:
        return render(read_template(value), VALUES) if isinstance(value, str) else value

    filled = {
        key: [text(one) for one in value] if isinstance(value, tuple) else text(value)
        for key, value in INPUTS[name].items()
        if key != "schema"
    }
    return {**filled, "schema": {"type": "object", "title": "{{%"}} if name == "extract" else filled


def test_every_template_that_ships_has_words_for_a_step() -> None:
    assert {template.name for template in list_templates()} == set(INPUTS)


@pytest.mark.parametrize("raw", [False, True], ids=["messages", "raw"])
@pytest.mark.parametrize("name", INPUTS)
def test_filled_in_later_the_words_are_those_of_known_inputs(name: str, raw: bool) -> None:
    template, wording = find_template(name), worded(name, raw=raw)
    form = next(form for form in template.forms_for("some-chat") if bool(form.text) is raw)
    filled = template.fill(known(name))

    assert wording.raw is raw and wording.stop == form.stop
    assert render(read_template(wording.prompt), VALUES) == fill_in(form.text or form.user, filled, "x")
    assert render(read_template(wording.system), VALUES) == fill_in(form.system, filled, "x")


def test_the_model_s_name_decides_the_form() -> None:
    assert worded(model="tally-tiny").prompt == "Translate {{ a }} into French."
    assert worded(model="opus-mt-en-fr") == Wording("{{ a }}", "", True, (), ())


def test_a_language_that_is_not_known_yet_is_written_as_it_is() -> None:
    assert worded(to="{{ item }}").prompt == "Translate into {{ item }}: {{ a }}"
    assert worded(to="fr").prompt == "Translate into French: {{ a }}"


def test_passages_are_documents() -> None:
    assert worded("answer").documents == ("{{ b }}", "known", "{{ a }} and {{ b }}")


@pytest.mark.parametrize(
    "text", ["{% if a %}yes{% endif %}", "  {# nothing #}{{ a }}\n", "x{{ '{{' }}", "{%", "{", "{{ '{' }}{{ a }}"]
)
def test_a_text_gives_the_same_within_the_words(text: str) -> None:
    """No white space of the words is lost to its blocks, and nothing in it becomes one."""
    if text == "{%":
        with pytest.raises(InvalidFlow):
            worded(text=text)
        return
    alone = render(read_template(text), VALUES)
    prompt = render(read_template(worded(text=text, raw=True).prompt), VALUES)

    assert prompt.removeprefix("English: ").removesuffix("\nFrench:").strip() == alone.strip()
    assert prompt.startswith("English: ") and prompt.endswith("\nFrench:")


@pytest.mark.parametrize(
    "user",
    [
        "{{ x | upper }}", "{{ x | length }}", "{{ x == 'a' }}", "{% for y in x %}{% endfor %}", "{{ x[0] }}",
        "{{ x.y }}", "{{ x ~ 'a' }}", "{{ x | json }}", "{{ [x] }}", "{{ 'a' in x }}",
        "{{ x | join }}",         "{{ '%s' | format(x) }}",
    ],
)  # fmt: skip
def test_a_template_that_looks_into_an_answer_is_refused(user: str) -> None:
    with pytest.raises(Misconfigured, match="write it down|cannot be filled in"):
        word(own(user), "m", {"x": "{{ a }}"})


def test_an_answer_that_is_written_down_or_asked_for_is_not() -> None:
    assert word(own("{% if x %}<{{ x }}>{% endif %}"), "m", {"x": "{{ a }}"}).prompt == "<{{ a }}>"


@pytest.mark.parametrize(
    ("inputs", "why"),
    [
        ({"to": 3}, "named by a text"),
        ({"to": "xx"}, "'xx'"),
        ({"tone": "kind"}, "takes no tone"),
        ({"text": "\0"}, "character 0"),
    ],
    ids=range(4),
)
def test_inputs_that_do_not_fit(inputs: dict[str, TaskInput], why: str) -> None:
    with pytest.raises(Misconfigured, match=why):
        word(find_template("translate"), "m", {**INPUTS["translate"], **inputs})


def test_what_a_step_has_no_room_for() -> None:
    with pytest.raises(Misconfigured, match="no raw form"):
        word(own("{{ x }}"), "m", {"x": "a"}, raw=True)
    with pytest.raises(Misconfigured, match="worked examples"):
        word(own("{{ x }}", examples='[{x = "a", answer = "b"}]'), "m", {"x": "a"})
    with pytest.raises(Misconfigured, match="no JSON"):
        worded("extract", schema="{")
