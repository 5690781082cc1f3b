"""Steps in the words of a prompt template: `task: translate`, and under `with` what it is filled in with.

The words are made here, once, and written into the definition: from then on such a step is one like any other, which
says besides which file its words came from. So a template of one's own works as well as one that ships.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from tallynet.client.tasks.reading import check_inputs
from tallynet.protocol.errors import InvalidFlow, Misconfigured
from tallynet.protocol.flow import Step, TaskInput, TaskWords
from tallynet.protocol.flow_rules import at_step
from tallynet.templates.shelf import find_template
from tallynet.templates.wording import word

MADE = ("prompt", "system")
"""What a step with a task does not say itself."""

Given = str | bool | int | Sequence[str] | Mapping[str, object]
"""An input: a template of a flow, several, or a plain value; of `extract` the schema."""


def task_step(
    task: str, model: str, inputs: Mapping[str, Given], *, templates: Path | None = None, **others: Any
) -> Step:
    """The step that asks `model` in the words of the template `task`; `others` are further fields of `Step`.

        task_step("translate", "tally-tiny", {"text": "{{ capital }}", "to": "fr"})

    Raises `Misconfigured` for what the template does not take, `InvalidFlow` for an input that is no template.
    """
    return Step(**_fields(task, model, inputs, others, templates))


def write_tasks(definition: object, templates: Path | None = None) -> object:
    """A definition as it was read, with the words of every step that has `task` and `with`.

    Raises `InvalidFlow` with the step's name. What is no definition is left as it is, for whoever reads it next.
    """
    steps = definition.get("steps") if isinstance(definition, dict) else None
    if not isinstance(definition, dict) or not isinstance(steps, dict):
        return definition
    return {**definition, "steps": {name: _written(name, step, templates) for name, step in steps.items()}}


def _written(name: str, step: object, templates: Path | None) -> object:
    if not isinstance(step, dict) or not step.keys() & {"task", "with"}:
        return step
    others = {field: value for field, value in step.items() if field not in ("task", "with", "model")}
    task, model, inputs = step.get("task"), step.get("model"), step.get("with", {})
    with at_step(name, 2):
        if not isinstance(task, str) or not isinstance(model, str) or not isinstance(inputs, dict):
            raise InvalidFlow(
                "a step with a task has a model, `task` as a name, and `with` as a map of inputs",
                remedy="Write, for example: task: translate, with: {text: cat, to: fr}.",
            )
        try:
            return _fields(task, model, inputs, others, templates)
        except Misconfigured as error:
            raise InvalidFlow(error.message, remedy=error.remedy) from error


def _fields(
    task: str, model: str, inputs: Mapping[str, Given], others: Mapping[str, Any], templates: Path | None
) -> dict[str, Any]:
    """The fields of the step. Raises `Misconfigured`."""
    said = sorted(others.keys() & {*MADE, "task"})
    if said:
        raise Misconfigured(
            f"A step with a task has its words from the template, and this one has {said[0]!r} too.",
            remedy=f"Leave out {said[0]!r}, or write the step without a task.",
        )
    template = find_template(task, templates)
    given = {name: _input(name, value) for name, value in inputs.items()}
    check_inputs(template, template.fill({**inputs}))
    wording = word(template, model, given, raw=bool(others.get("raw", False)))
    made = {"prompt": wording.prompt, "system": wording.system, "raw": wording.raw}
    words = TaskWords(template.label, template.digest, given, wording.documents)
    fields = {"max_tokens": template.max_tokens, **others, **made, "task": words}
    ends = others.get("stop", ())
    return {"model": model, **fields, "stop": (*wording.stop, *ends) if isinstance(ends, list | tuple) else ends}


def _input(name: str, value: object) -> TaskInput:
    """As it stands in the definition: a schema as its JSON."""
    if isinstance(value, str | bool | int):
        return value
    if isinstance(value, Mapping):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if isinstance(value, Sequence) and all(isinstance(text, str) for text in value):
        return tuple(cast(Sequence[str], value))
    raise Misconfigured(
        f"The input {name!r} of the task is neither a text, nor a whole number, nor a list of texts.",
        remedy="Put it in quotes.",
    )
