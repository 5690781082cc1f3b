"""A template's words for the step of a flow: made once, before anything is asked, and written into the definition.

A step's inputs are templates of chapter 7 themselves: `{{ capital }}` is an answer that nobody has yet. So the prompt
template is filled in with all that is known, and where such an answer belongs its own small template is put. What comes
out is a prompt in the language of flows, and whoever checks the flow needs no other.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.flow import TaskInput
from tallynet.protocol.flow_template import read_template
from tallynet.protocol.flow_template import render as render_text
from tallynet.protocol.json_depth import check_depth
from tallynet.templates.blank import Blank
from tallynet.templates.jinja import render
from tallynet.templates.template import Form, Template

PASSAGES = "passages"
"""The input whose texts a request names one by one (chapter 1, `documents`)."""

_MARK = re.compile("\0(\\d+)\0")
_OPENING = re.compile(r"\{(?=[{%#]|\Z)")
"""What would begin something in the language of flows."""
_NOTHING = '{{ "" }}'
"""Keeps a block from taking the white space beside it."""


@dataclass(frozen=True, slots=True)
class Wording:
    """What a template makes of a step; see the fields of `Step`."""

    prompt: str
    system: str
    raw: bool
    stop: tuple[str, ...]
    documents: tuple[str, ...]


def word(template: Template, model: str, inputs: Mapping[str, TaskInput], *, raw: bool = False) -> Wording:
    """`model` is what the step calls it: it decides the form. `raw` takes one without messages.

    Raises `Misconfigured` for inputs that the template does not take or needs to know beforehand, and `InvalidFlow`
    for a text that is no template of a flow.
    """
    form, blanks = _form(template, model, raw), _Blanks(template)
    filled = template.fill({name: blanks.value(name, value) for name, value in inputs.items()})
    passages = inputs.get(PASSAGES)
    return Wording(
        prompt=blanks.fill_in(render(form.text or form.user, filled, template.label)),
        system=blanks.fill_in(render(form.system, filled, template.label)),
        raw=bool(form.text),
        stop=form.stop,
        documents=tuple(map(_source, passages)) if isinstance(passages, tuple) else (),
    )


def _form(template: Template, model: str, raw: bool) -> Form:
    forms = template.forms_for(model)
    form = next((form for form in forms if form.text), None) if raw else forms[0]
    if form is None:
        raise Misconfigured(
            f"The template {template.label} has no raw form for the model {model!r}.", remedy="Leave out `raw`."
        )
    if form.examples:
        raise Misconfigured(
            f"The template {template.label} shows this model worked examples, for which a step has no room.",
            remedy="Write the step's prompt yourself, with the examples in it.",
        )
    return form


@dataclass(slots=True)
class _Blanks:
    """The places in a template's words that are filled in while the flow runs."""

    template: Template
    _sources: list[str] = field(default_factory=list)

    def value(self, name: str, given: TaskInput) -> object:
        """What the template sees: the value where it is known, and otherwise a blank."""
        if isinstance(given, tuple):
            return [self._text(name, text) for text in given]
        if not isinstance(given, str):
            return given
        if self.template.reads == "json" and name == "schema":
            return _schema(given)
        return self._text(name, given)

    def fill_in(self, words: str) -> str:
        """The words as a template of flows, each blank by the template that it stands for."""
        parts = _MARK.split(words)
        for at, part in enumerate(parts):
            parts[at] = self._sources[int(part)] if at % 2 else _OPENING.sub('{{ "{" }}', part)
        return "".join(parts)

    def _text(self, name: str, given: str) -> object:
        read = read_template(given)
        if not read.names:
            return _known(name, render_text(read, {}))
        self._sources.append(_source(given))
        return Blank(name, f"\0{len(self._sources) - 1}\0")


def _source(given: str) -> str:
    """A small template that gives the same wherever it stands."""
    bare = given.removesuffix("\n")
    guard = _NOTHING if "{%" in bare or "{#" in bare else ""
    return guard + bare + guard


def _known(name: str, text: str) -> str:
    if "\0" in text:
        raise Misconfigured(f"The input {name!r} holds a character 0.", remedy="Leave it out.")
    return text


def _schema(text: str) -> object:
    try:
        check_depth(text)
        schema: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Misconfigured(f"The schema is no JSON: {error}.", remedy="Correct the schema.") from error
    return schema
