"""A prompt template: one TOML file with a name, a version, and one form for each kind of model.

    name = "translate"
    version = 1
    about = "Translates a text."
    [inputs]
    text = "what to translate"
    to = "the language, by name or code"
    [[forms]]
    models = ["*opus-mt*"]         # names of models, * for anything; without it: all
    text = "{{ text }}"            # taken raw
    [[forms]]
    system = "You translate."      # messages, for models with a chat template
    user = "Translate into {{ to | language }}: {{ text }}"

What is in a file never changes once it is released; a better wording is the next version. Its digest, SHA-256 of the
file as it lies there, goes into every request that is made with it (decision 21).
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.job import MAX_STOP_STRINGS, MAX_TOKENS
from tallynet.protocol.units import Digest, printable

MAX_TEMPLATE_BYTES = 64 * 1024
NAME = r"\A[a-z][a-z0-9-]{0,63}\Z"

Example = dict[str, str]
"""One worked example: a value for each input it needs, and under `answer` what the model should say."""


class Form(Struct, frozen=True, forbid_unknown_fields=True):
    """How one kind of model is asked. It has `user`, and then goes through the chat template, or `text`, taken raw."""

    models: Annotated[tuple[str, ...], Meta(max_length=32)] = ()
    """Patterns of names, `*` for anything; empty: every model."""
    system: str = ""
    user: str = ""
    text: str = ""
    stop: Annotated[tuple[str, ...], Meta(max_length=MAX_STOP_STRINGS)] = ()
    """The answer ends before these."""
    takes_examples: bool = True
    examples: Annotated[tuple[Example, ...], Meta(max_length=32)] = ()
    """Shown before the question, unless whoever asks gives others."""

    def fits(self, model: str) -> bool:
        """Whether it is meant for a model of this name."""
        return not self.models or any(fnmatchcase(model.lower(), pattern.lower()) for pattern in self.models)


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    """What a file says, see `Template`."""

    name: Annotated[str, Meta(pattern=NAME)]
    version: Annotated[int, Meta(ge=1, lt=10_000)]
    about: str
    inputs: dict[str, str]
    forms: Annotated[tuple[Form, ...], Meta(min_length=1, max_length=32)]
    defaults: dict[str, str | int | bool | list[str]] = {}
    max_tokens: Annotated[int, Meta(ge=1, le=MAX_TOKENS)] = 512
    reads: Literal["text", "label", "json"] = "text"


@dataclass(frozen=True, slots=True)
class Template:
    """A template that was read and checked."""

    name: str
    version: int
    about: str
    """One sentence for people."""
    inputs: dict[str, str]
    """What it is filled in with: name, and what that is."""
    defaults: dict[str, str | int | bool | list[str]]
    """Of the inputs that may be left out."""
    forms: Sequence[Form]
    """The first that fits the model is used; a later one when the model takes no messages."""
    max_tokens: int
    """The longest answer, unless whoever asks says otherwise."""
    reads: Literal["text", "label", "json"]
    """What the answer must be: any text, one of the input `labels`, or JSON that fits the input `schema`."""
    digest: Digest
    """SHA-256 of the file."""

    @property
    def label(self) -> str:
        """`translate@1`."""
        return f"{self.name}@{self.version}"

    def fill(self, inputs: Mapping[str, object]) -> dict[str, object]:
        """Its inputs, with the defaults of those left out. Raises `Misconfigured` for others than it takes."""
        filled = {**self.defaults, **inputs}
        missing, unknown = self.inputs.keys() - filled.keys(), filled.keys() - self.inputs.keys()
        if missing or unknown:
            wrong = f"lacks {', '.join(sorted(missing))}" if missing else f"takes no {', '.join(sorted(unknown))}"
            raise Misconfigured(
                f"The template {self.label} {wrong}.", remedy=f"Its inputs are: {', '.join(self.inputs)}."
            )
        return filled

    def forms_for(self, model: str) -> list[Form]:
        """In the order of trying. Raises `Misconfigured` when no form is meant for this model."""
        fitting = [form for form in self.forms if form.fits(model)]
        first = fitting[:1]
        plain = [form for form in fitting[1:] if form.text and not form.models]
        if not first:
            raise Misconfigured(
                f"The template {self.label} has no form for the model {printable(model)!r}.",
                remedy="Ask another model, or add a form without `models` to the template.",
            )
        return first if first[0].text else first + plain


def read_template(data: bytes, name: str) -> Template:
    """Read and check a template's file, called `name` in errors. Raises `Misconfigured`."""
    if len(data) > MAX_TEMPLATE_BYTES:
        raise _wrong(name, f"it has {len(data)} bytes, more than {MAX_TEMPLATE_BYTES}")
    try:
        file = msgspec.toml.decode(data, type=_File)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _wrong(name, printable(str(error))) from error
    _check_inputs(file, name)
    for form in file.forms:
        _check_form(form, name)
    fields = {field: getattr(file, field) for field in file.__struct_fields__}
    return Template(**fields, digest=Digest(hashlib.sha256(data).digest()))


def _check_inputs(file: _File, name: str) -> None:
    if not file.defaults.keys() <= file.inputs.keys():
        raise _wrong(name, f"there are defaults of no inputs: {', '.join(file.defaults.keys() - file.inputs.keys())}")
    needed = {"label": "labels", "json": "schema"}.get(file.reads)
    if needed is not None and needed not in file.inputs:
        raise _wrong(name, f"it reads {file.reads} and has no input {needed!r}")


def _check_form(form: Form, name: str) -> None:
    if bool(form.user) == bool(form.text) or (form.text and form.system):
        raise _wrong(name, "a form must hold either `user`, perhaps with `system`, or `text` alone")
    if any("answer" not in example for example in form.examples):
        raise _wrong(name, "an example has no `answer`")
    if form.examples and not form.takes_examples:
        raise _wrong(name, "a form that takes no examples has some")


def _wrong(name: str, what: str) -> Misconfigured:
    return Misconfigured(f"The template {name} is not valid: {what}.", remedy="Correct the file.")
