"""(13) Are a step's words those of the template that it names? Made again where the template ships with this package.

Nobody else's template is ever filled in: it is a program in a language that can do much more than that of flows.
A template that does not ship here is told by its name and not checked; what the words are is plain all the same, they
stand in the definition, and (9) has compared each request with them. Source: spec chapter 7, "Tasks".
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tallynet.protocol.bundle_checks import State
from tallynet.protocol.errors import InvalidFlow, Misconfigured
from tallynet.protocol.flow import Flow, Step, TaskWords
from tallynet.protocol.flow_rules import at_step
from tallynet.templates.shelf import find_shipped
from tallynet.templates.template import Template
from tallynet.templates.wording import Wording, word


@dataclass(frozen=True, slots=True)
class CheckedWords:
    """The steps of a flow that name a template."""

    states: Mapping[str, State]
    """By step: OK where the words were made again, SKIPPED where the template does not ship here."""
    tasks: Mapping[str, TaskWords]

    @property
    def state(self) -> State:
        return State.SKIPPED if State.SKIPPED in self.states.values() else State.OK

    @property
    def detail(self) -> str:
        """How many were checked, or the templates of those that were not."""
        if self.unchecked:
            return f"not checked: {', '.join(dict.fromkeys(task.template for task in self.unchecked.values()))}"
        return f"{len(self.tasks)} tasks" if len(self.tasks) != 1 else "1 task"

    @property
    def unchecked(self) -> dict[str, TaskWords]:
        """By step, those whose template does not ship here: it is of another version of this package, or somebody's
        own."""
        return {name: self.tasks[name] for name, state in self.states.items() if state is State.SKIPPED}


def check_words(flow: Flow) -> CheckedWords:
    """Check (13). Raises `InvalidFlow` with the step's name where its words are not those of its template."""
    tasks = {name: step.task for name, step in flow.steps.items() if step.task}
    return CheckedWords({name: _check_step(name, flow.steps[name], task) for name, task in tasks.items()}, tasks)


def _check_step(name: str, step: Step, task: TaskWords) -> State:
    template = find_shipped(task.digest)
    if template is None:
        return State.SKIPPED
    with at_step(name, 13):
        # (13) a template that ships here is called what the step calls it
        if template.label != task.template:
            raise InvalidFlow(f"its template is called {task.template}; the file of that digest is {template.label}")
        wording = _made(template, step, task)
        # (13) prompt, instructions, ends and documents are what the template makes of the inputs
        for what, written, made in _compared(step, task, wording):
            if written != made:
                raise InvalidFlow(
                    f"its {what} is not what the template {template.label} makes",
                    evidence={"written": written, "made": made},
                )
    return State.OK


def _made(template: Template, step: Step, task: TaskWords) -> Wording:
    try:
        return word(template, step.model, task.inputs, raw=step.raw)
    except Misconfigured as error:
        raise InvalidFlow(f"its words cannot be made: {error.message}") from error


def _compared(step: Step, task: TaskWords, made: Wording) -> Iterator[tuple[str, object, object]]:
    yield "prompt", step.prompt, made.prompt
    yield "system", step.system, made.system
    yield "raw", step.raw, made.raw
    yield "stop", step.stop[: len(made.stop)], made.stop
    yield "documents", task.documents, made.documents
