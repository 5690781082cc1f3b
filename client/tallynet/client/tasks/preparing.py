"""A task, made ready: the words for each way in which a model may have to be asked, and what was needed for them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

from tallynet.client.tasks.reading import check_inputs
from tallynet.client.terms import AskOptions
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.request import MAX_DOCUMENTS, Message, Request
from tallynet.protocol.units import Digest
from tallynet.templates.jinja import render
from tallynet.templates.shelf import find_template
from tallynet.templates.template import Example, Form, Template

Inputs = Mapping[str, object]
"""What a template is filled in with: texts, numbers, lists of texts; `labels` and `schema` also judge the answer."""


class TaskOptions(TypedDict, total=False):
    """What a task may be given beside its inputs."""

    examples: Sequence[Example]
    """Shown to the model before the question, in place of the template's own: inputs, and the `answer` to them."""
    documents: Sequence[Digest]
    """SHA-256 of each passage that stands in the inputs, in their order; sealed with the words."""
    templates: Path | None
    """A folder of one's own templates."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to ask."""

    request: Request = field(repr=False)
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PreparedTask:
    """Ready to be asked, of the model that it was made for."""

    template: Template
    model: str
    """As whoever asks named it."""
    inputs: Inputs = field(repr=False)
    """With the template's defaults."""
    ways: Sequence[Way]
    """At least one. The later ones are for when the model takes no messages."""

    @property
    def request(self) -> Request:
        """What is asked first."""
        return self.ways[0].request

    def ask(self, options: AskOptions) -> list[tuple[Request, AskOptions]]:
        """Each way with its options: the template's, and over them those of whoever asks."""
        given = options.get("stop", ())
        stop = (given,) if isinstance(given, str) else tuple(given)
        terms = AskOptions(**{"max_tokens": self.template.max_tokens, **options})
        return [(way.request, AskOptions(**{**terms, "stop": (*way.stop, *stop)})) for way in self.ways]


def prepare_task(
    task: str | Template,
    model: str,
    model_name: str,
    inputs: Inputs,
    *,
    examples: Sequence[Example] = (),
    documents: Sequence[Digest] = (),
    templates: Path | None = None,
) -> PreparedTask:
    """`task` is a template or its name; `model_name` is what nodes call the model: it decides the form.

    Raises `Misconfigured` for a template that is not there, and for inputs or examples that it does not take.
    """
    template = find_template(task, templates) if isinstance(task, str) else task
    filled = template.fill(inputs)
    check_inputs(template, filled)
    if len(documents) > MAX_DOCUMENTS:
        raise Misconfigured(f"{len(documents)} passages are given.", remedy=f"Give at most {MAX_DOCUMENTS}.")
    ways = [
        Way(_request(form, template, filled, examples or form.examples, tuple(documents)), form.stop)
        for form in template.forms_for(model_name)
    ]
    return PreparedTask(template, model, filled, ways)


def show_prompt(request: Request) -> str:
    """A request as people read it: each message under its role, or the raw text."""
    return "\n\n".join(f"[{turn.role}]\n{turn.content}" for turn in request.messages) or request.text


def _request(
    form: Form, template: Template, filled: Inputs, examples: Sequence[Example], documents: tuple[Digest, ...]
) -> Request:
    if examples and not form.takes_examples:
        raise Misconfigured(
            f"The template {template.label} takes no examples with this model.", remedy="Leave them out."
        )
    if form.text:
        shots = "".join(_shot(form, template, filled, example) for example in examples)
        text = shots + render(form.text, filled, template.label)
        return Request(text=text, template=template.digest, documents=documents)
    system = render(form.system, filled, template.label)
    messages = [Message("system", system)] if system else []
    for example in examples:
        messages.append(Message("user", render(form.user, {**filled, **example}, template.label)))
        messages.append(Message("assistant", _answer(example, template)))
    messages.append(Message("user", render(form.user, filled, template.label)))
    return Request(messages=tuple(messages), template=template.digest, documents=documents)


def _shot(form: Form, template: Template, filled: Inputs, example: Example) -> str:
    return f"{render(form.text, {**filled, **example}, template.label)} {_answer(example, template)}\n\n"


def _answer(example: Example, template: Template) -> str:
    if not example.keys() <= {*template.inputs, "answer"} or "answer" not in example:
        raise Misconfigured(
            f"An example has {', '.join(sorted(example)) or 'nothing'}.",
            remedy=f"It takes `answer` and any of: {', '.join(template.inputs)}.",
        )
    return example["answer"]
