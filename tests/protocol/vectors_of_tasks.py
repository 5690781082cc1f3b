"""Vectors of tasks: what templates that ship make of a step's inputs, and flows whose words hold, cannot be checked, or
are not their template's."""

from collections.abc import Mapping
from typing import Any

from msgspec import structs

from tallynet.protocol.flow import Flow, Kind, Step, TaskInput, TaskWords, Vote
from tallynet.protocol.flow_file import write_flow
from tallynet.templates.shelf import find_template
from tallynet.templates.wording import word
from tallynet.templates.wording_check import check_words
from tests.protocol.flows import run_flow, with_tasks
from tests.protocol.json_form import write

ASKED: tuple[tuple[str, str, bool, Mapping[str, TaskInput]], ...] = (
    ("translate@1", "some-chat", False, {"text": "{{ word|trim }}", "to": "fr"}),
    ("translate@1", "some-chat", True, {"text": "{% if word %}{{ word }}{% endif %}", "to": "{{ item }}"}),
    ("translate@1", "opus-mt-en-fr", False, {"text": "{{ word }}", "to": "fr"}),
    ("answer@1", "some-chat", False, {"question": "Why?", "passages": ("{{ word }}\n", "known", "{{ a }}{{ b }}")}),
    ("classify@1", "some-chat", False, {"text": "{{ word }}", "labels": ("good", "{{ word }}")}),
    ("extract@1", "some-chat", False, {"text": "{{ word }}", "schema": '{"title":"{{ {% {"}'}),
    ("summarise@1", "some-chat", False, {"text": "{{ word }}", "words": 9, "part": True}),
)


def words() -> list[dict[str, Any]]:
    return [worded(*asked) for asked in ASKED]


def worded(label: str, model: str, raw: bool, inputs: Mapping[str, TaskInput]) -> dict[str, Any]:
    template = find_template(label)
    made = word(template, model, inputs, raw=raw)
    given = {name: list(value) if isinstance(value, tuple) else value for name, value in inputs.items()}
    return {
        "template": label, "digest": write(template.digest), "model": model, "wants_raw": raw, "inputs": given,
        "prompt": made.prompt, "system": made.system, "raw": made.raw, "stop": list(made.stop),
        "documents": list(made.documents),
    }  # fmt: skip


def file_with_tasks() -> dict[str, Any]:
    file = run_flow(with_tasks())
    return {"file": write_flow(file).decode(), "words": dict(check_words(file.plan.flow).states)}


def wrong_words() -> Any:
    """Files of which everything else holds, with the step at fault."""
    french = with_tasks().steps["french"]
    assert french.task is not None
    other = structs.replace(french, prompt="Put into French: {{ word }}")
    yield flow_of(other), "french", "the prompt is not the template's"
    renamed = structs.replace(french, task=structs.replace(french.task, template="translate@2"))
    yield flow_of(renamed), "french", "the template of that digest has another name"
    lacking = structs.replace(french, task=structs.replace(french.task, inputs={"text": "{{ word }}"}))
    yield flow_of(lacking), "french", "an input that the template needs is not there"


def flow_of(french: Step) -> Flow:
    return structs.replace(with_tasks(), steps={"french": french})


def unsound() -> Any:
    """Definitions that cannot be run, each with the step at fault and why."""
    plain, words = Step("one", "Hello"), TaskWords("answer@1", find_template("answer").digest, {}, ("{{ word }}",))
    yield {"word": plain}, None, "a step is called as an input"
    yield {"a": structs.replace(plain, prompt="{{ word.x }}")}, "a", "more than the language has"
    yield {"a": structs.replace(plain, prompt="{% for x in word %}{% for y in word %}{% endfor %}{% endfor %}")}, "a", \
        "a loop in a loop"  # fmt: skip
    yield {"a": structs.replace(plain, prompt="{{ b }}"), "b": plain}, "a", "a step that comes later"
    yield {"a": structs.replace(plain, raw=True, system="Be brief.")}, "a", "raw and system"
    yield {"a": structs.replace(plain, prompt="{{ word|join }}")}, "a", "a text used as a list"
    yield {"a": structs.replace(plain, task=words)}, "a", "a document names what the prompt does not"
    votes = {f"v{at}": structs.replace(plain, vote=Vote(16)) for at in range(17)}
    yield votes, None, "more than 256 jobs"
    yield {"v": votes["v0"], "w": plain, "a": structs.replace(plain, prompt="{{ v }}{{ w }}")}, "a", \
        "a job on 17 answers"  # fmt: skip


def definition(steps: Mapping[str, Step]) -> Flow:
    return Flow("unsound", dict(steps), {"word": Kind.TEXT})
