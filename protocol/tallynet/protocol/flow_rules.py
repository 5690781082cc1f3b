"""(7) Is a definition sound? What can be known before anything is asked or paid is checked here, once.

Source: spec chapter 7, "Definition".
"""

from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec

from tallynet.protocol.errors import InvalidFlow
from tallynet.protocol.flow import MAX_ITEMS, MAX_RUNS, Flow, Kind, Step
from tallynet.protocol.flow_template import Template, read_template
from tallynet.protocol.job import MAX_PARENTS
from tallynet.protocol.units import printable

RESERVED = frozenset({
    "item", "number", "items", "draft", "critique", "loop", "self", "true", "false", "none", "not", "and", "or", "in",
    "is", "if", "else", "elif", "endif", "for", "endfor", "recursive",
})  # fmt: skip
"""Names that mean something in a template already."""

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Flow)


@dataclass(frozen=True, slots=True)
class CheckedStep:
    """A step with its templates read."""

    step: Step
    system: Template
    prompt: Template
    critic: Template | None
    revise: Template | None
    documents: tuple[Template, ...] = ()
    """The passages that its prompt holds."""

    @property
    def templates(self) -> tuple[Template, ...]:
        known = (self.system, self.prompt, self.critic, self.revise, *self.documents)
        return tuple(template for template in known if template)

    @property
    def names(self) -> frozenset[str]:
        """The inputs and steps that it uses, its list included."""
        source = self.step.map.over if self.step.map else self.step.reduce.of if self.step.reduce else None
        named = frozenset().union(*(template.names for template in self.templates)) - RESERVED
        return named | ({source} if source else set())


@dataclass(frozen=True, slots=True)
class CheckedFlow:
    """A definition that can be run: every name is known, every kind fits, every bound holds."""

    flow: Flow
    steps: Mapping[str, CheckedStep]

    def parents(self, name: str) -> tuple[str, ...]:
        """The steps that a step builds on, in the order of the definition."""
        return tuple(step for step in self.steps if step in self.steps[name].names)


def check_flow(flow: Flow) -> CheckedFlow:
    """Raises `InvalidFlow`, check 2, with the step's name where it is one step's fault."""
    flow = _converted(flow)
    known: dict[str, CheckedStep] = {}
    # (2) no name stands for two things, or for what templates mean by it already
    for name in (*flow.inputs, *flow.steps):
        if name in RESERVED or (name in flow.inputs and name in flow.steps):
            raise InvalidFlow(f"the name {name!r} is taken", check=2, remedy="Choose another name.")
    for name, step in flow.steps.items():
        with at_step(name, 2):
            checked = _read(step)
            _check_shape(step)
            _check_names(checked, known.keys() | flow.inputs.keys())
            _check_kinds(checked, {**flow.inputs, **{other: known[other].step.kind for other in known}})
            _check_parents(checked, known)
            known[name] = checked
    # (2) it takes at most 256 jobs, whatever the models answer
    runs = sum(_most_runs(checked.step, flow) for checked in known.values())
    if runs > MAX_RUNS:
        raise InvalidFlow(f"it may take {runs} jobs, more than {MAX_RUNS}", check=2, remedy="Lower `most` of its maps.")
    return CheckedFlow(flow, known)


@contextmanager
def at_step(name: str, check: int | None = None) -> Iterator[None]:
    """Gives an `InvalidFlow` of the block the step's name, and a check's number where it has none."""
    try:
        yield
    except InvalidFlow as error:
        number = check if error.check is None else error.check
        if error.step is None:
            found = InvalidFlow(error.message, step=name, check=number, evidence=error.evidence, remedy=error.remedy)
            raise found from error
        error.check = number
        raise


def closable(flow: Flow, name: str) -> bool:
    """Whether an input can be closed: no number of jobs follows from it."""
    lists = {step.map.over if step.map else step.reduce.of if step.reduce else None for step in flow.steps.values()}
    return name not in lists


def encode_flow(flow: Flow) -> bytes:
    """The one JSON of a definition: fields in their order, defaults left out, no white space."""
    return _ENCODER.encode(flow)


def _converted(flow: Flow) -> Flow:
    """A struct's constructor checks nothing, its decoder does."""
    # (2) every field has its type and keeps its bounds
    try:
        return _DECODER.decode(_ENCODER.encode(flow))
    except (msgspec.ValidationError, UnicodeEncodeError, TypeError, ValueError) as error:
        raise InvalidFlow(f"the definition cannot be read: {printable(str(error))}", check=2) from error


def _read(step: Step) -> CheckedStep:
    # (2) every template is one of the language
    critic = read_template(step.critic.prompt) if step.critic else None
    revise = read_template(step.critic.revise) if step.critic else None
    documents = tuple(map(read_template, step.task.documents if step.task else ()))
    return CheckedStep(step, read_template(step.system), read_template(step.prompt), critic, revise, documents)


def _check_shape(step: Step) -> None:
    # (2) a step has at most one of map, reduce, vote and critic
    shapes = [name for name in ("map", "reduce", "vote", "critic") if getattr(step, name)]
    if len(shapes) > 1:
        raise InvalidFlow(f"it is {' and '.join(shapes)} at once", remedy="Make a step of each.")
    # (2) a raw text has no instructions before it
    if step.raw and step.system:
        raise InvalidFlow("raw and system exclude each other", remedy="Write the instructions into the prompt.")


def _check_names(checked: CheckedStep, known: Set[str]) -> None:
    # (2) every name in it is an input, a step before it, or one that its place in the step gives
    allowed = known | _locals(checked.step)
    named = [
        (checked.system, allowed), (checked.prompt, allowed), (checked.critic, allowed | {"draft"}),
        (checked.revise, allowed | {"draft", "critique"}),
    ]  # fmt: skip
    unknown = {name for template, names in named if template for name in template.names - names}
    unknown |= checked.names - known
    if unknown:
        raise InvalidFlow(
            f"it names {', '.join(map(repr, sorted(unknown)))}, which is no input and no step before it",
            remedy=f"Known there: {', '.join(sorted(allowed)) or 'nothing'}.",
        )
    # (2) a document of its task names nothing that prompt and instructions do not
    for document in checked.documents:
        hidden = sorted(document.names - checked.prompt.names - checked.system.names)
        if hidden:
            raise InvalidFlow(f"a document of its task names {hidden[0]!r}, and its prompt does not")


def _locals(step: Step) -> frozenset[str]:
    return frozenset({"item", "number"} if step.map else {"items"} if step.reduce else ())


def _check_kinds(checked: CheckedStep, kinds: Mapping[str, Kind]) -> None:
    """Lists are used as lists, and texts as texts."""
    kinds = {**kinds, "items": Kind.LIST}
    # (2) what it reduces is a list
    if checked.step.reduce and kinds[checked.step.reduce.of] is not Kind.LIST:
        raise InvalidFlow(f"{checked.step.reduce.of!r} is one text: there is nothing to reduce")
    for template in checked.templates:
        for name in sorted(template.names):
            used, known = Kind.LIST if name in template.lists else Kind.TEXT, kinds.get(name, Kind.TEXT)
            # (2) templates use lists as lists and texts as texts
            if used is not known:
                how = "loop over it or join it" if known is Kind.LIST else "write {{ " + name + " }}"
                raise InvalidFlow(f"{name!r} is a {known} and used as a {used}", remedy=f"In the template, {how}.")


def _check_parents(checked: CheckedStep, known: Mapping[str, CheckedStep]) -> None:
    # (2) no job can build on more than 16 answers
    most = max(_most_parents(checked, template, given, known) for template, given in _jobs(checked))
    if most > MAX_PARENTS:
        raise InvalidFlow(
            f"its jobs may build on {most} answers, and a job names at most {MAX_PARENTS}",
            remedy="Put a reduce between it and the list, or lower `most` or `width`.",
        )


def _jobs(checked: CheckedStep) -> Iterator[tuple[Template, int]]:
    """The prompts of its jobs, each with how many answers of its own step such a job builds on."""
    yield checked.prompt, checked.step.reduce.width if checked.step.reduce else 0
    if checked.critic and checked.revise:
        yield checked.critic, 1
        yield checked.revise, 2


def _most_parents(checked: CheckedStep, template: Template, given: int, known: Mapping[str, CheckedStep]) -> int:
    named = (template.names | checked.system.names) & known.keys()
    over = checked.step.map.over if checked.step.map else None
    if over is not None and over in known and over not in named:
        given = 1 if known[over].step.map else _most_behind(known[over].step)
    return given + sum(_most_behind(known[name].step) for name in named)


def _most_behind(step: Step) -> int:
    """How many answers the result of a step can rest on."""
    if step.map:
        return step.map.most
    if step.vote:
        return step.vote.ballots
    return 2 if step.critic else 1


def _most_runs(step: Step, flow: Flow) -> int:
    if step.reduce:
        source = flow.steps.get(step.reduce.of)
        return _rounds(source.map.most if source and source.map else MAX_ITEMS, step.reduce.width)
    if step.map:
        return step.map.most
    if step.vote:
        return step.vote.ballots
    return 1 + 2 * step.critic.rounds if step.critic else 1


def _rounds(items: int, width: int) -> int:
    """How many jobs it takes to reduce so many items."""
    jobs = 0
    while True:
        items = -(-items // width)
        jobs += items
        if items <= 1:
            return jobs
