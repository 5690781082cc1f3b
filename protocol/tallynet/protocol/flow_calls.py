"""(7) What a flow asks next: the jobs of a step, wave after wave, and its result, from what was answered so far.

Pure: the client runs a flow by it, and whoever checks a flow file makes every decision again by the same functions.
Source: spec chapter 7, "Steps".
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256

from msgspec import structs

from tallynet.protocol.errors import InvalidFlow
from tallynet.protocol.flow import Critic, Map, Reduce, Step, TaskWords, Vote
from tallynet.protocol.flow_choice import accepts, agreeing, choose, split_text
from tallynet.protocol.flow_rules import CheckedFlow, CheckedStep, at_step
from tallynet.protocol.flow_template import Template, Value, render, render_each
from tallynet.protocol.request import Message, Request
from tallynet.protocol.units import Digest


@dataclass(frozen=True, slots=True)
class Run:
    """One finished run of a step."""

    text: str
    output: Digest
    """Its commitment: what jobs that build on it name."""


@dataclass(frozen=True, slots=True)
class Call:
    """One job that a step asks for."""

    place: int
    """Within the step, from 0."""
    model: str
    """As the definition names it."""
    step: Step
    """Says how tokens are chosen."""
    request: Request | None
    """None when it uses an input that is closed."""
    parents: tuple[Digest, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """What a step gives to the others."""

    value: Value
    behind: tuple[Digest, ...]
    """The outputs that it rests on: parents of whatever uses it."""
    said: str = ""
    """How it was decided, for people."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known while a flow runs."""

    inputs: Mapping[str, Value | None]
    """None for one that is closed."""
    results: dict[str, Result] = field(default_factory=dict)
    """Of the steps that are done."""

    def value(self, name: str) -> Value | None:
        return self.inputs[name] if name in self.inputs else self.results[name].value


def advance(checked: CheckedFlow, name: str, known: Known, runs: Sequence[Run]) -> tuple[Call, ...] | Result:
    """The next jobs of a step after `runs`, all of those that it asked for before; or its result, when it is done.

    All steps that it builds on must be done. Raises `InvalidFlow` with the step's name for what cannot go on: too many
    items, a prompt that is too large.
    """
    with at_step(name):
        step = _Step(checked, checked.steps[name], known)
        match checked.steps[name].step.shape:
            case Map() as shape:
                return _map(step, shape, runs)
            case Reduce() as shape:
                return _reduce(step, shape, runs)
            case Vote() as shape:
                return _vote(step, shape, runs)
            case Critic() as shape:
                return _critic(step, shape, runs)
            case None:
                return Result(runs[0].text, (runs[0].output,)) if runs else (step.call(0),)


@dataclass(frozen=True, slots=True)
class _Item:
    """One text of a list, with the outputs that it rests on."""

    text: str
    behind: tuple[Digest, ...]


@dataclass(frozen=True, slots=True)
class _Step:
    """Makes the calls of one step."""

    flow: CheckedFlow
    checked: CheckedStep
    known: Known

    def call(
        self,
        place: int,
        given: Mapping[str, Value | int] | None = None,
        behind: Sequence[Digest] = (),
        template: Template | None = None,
        model: str | None = None,
    ) -> Call:
        """`given` are the names that the place in the step gives, `behind` what those rest on."""
        used = template or self.checked.prompt
        parents = (*self._behind(used.names | self.checked.system.names), *behind)
        request = self._request(used, given or {})
        return Call(place, model or self.checked.step.model, self.checked.step, request, parents)

    def items(self, name: str) -> list[_Item]:
        """The texts of a list, or of a text that is split. Raises `InvalidFlow`."""
        value = self.known.value(name)
        if value is None:
            raise InvalidFlow(f"how many jobs it takes follows from the input {name!r}, which is closed")
        behind = self.known.results[name].behind if name in self.known.results else ()
        if isinstance(value, tuple):
            return [_Item(text, behind[at : at + 1]) for at, text in enumerate(value)]
        split = self.checked.step.map.split if self.checked.step.map else None
        texts = split_text(value, split) if split else (value,)
        return [_Item(text, behind) for text in texts]

    def _behind(self, names: frozenset[str]) -> Iterator[Digest]:
        """The outputs behind the steps among `names`, in the order of the definition."""
        for step in self.flow.steps:
            if step in names:
                yield from self.known.results[step].behind

    def _request(self, template: Template, given: Mapping[str, Value | int]) -> Request | None:
        names = template.names | self.checked.system.names
        values: dict[str, Value | int] = dict(given)
        for name in names - given.keys():
            value = self.known.value(name)
            if value is None:
                return None
            values[name] = value
        written = _written(self.checked.step, render(self.checked.system, values), render(template, values))
        task = self.checked.step.task
        return written if task is None or template is not self.checked.prompt else self._said(written, task, values)

    def _said(self, request: Request, task: TaskWords, values: Mapping[str, Value | int]) -> Request:
        """With what a request says of its words (chapter 1)."""
        passages = render_each(self.checked.documents, values)
        documents = tuple(Digest(sha256(passage.encode()).digest()) for passage in passages)
        return structs.replace(request, template=task.digest, documents=documents)


def _written(step: Step, system: str, prompt: str) -> Request:
    if not prompt:
        raise InvalidFlow("its prompt is empty")
    if step.raw:
        return Request(text=prompt)
    instructions = (Message("system", system),) if system else ()
    return Request(messages=(*instructions, Message("user", prompt)))


def _map(step: _Step, shape: Map, runs: Sequence[Run]) -> tuple[Call, ...] | Result:
    """All items at once."""
    items = step.items(shape.over)
    if len(items) > shape.most:
        raise InvalidFlow(
            f"{shape.over!r} has {len(items)} items, the step takes at most {shape.most}",
            remedy="Raise `most` (64 at most), or ask for fewer items.",
        )
    if len(runs) >= len(items):
        return Result(tuple(run.text for run in runs), tuple(run.output for run in runs), f"{len(items)} items")
    named = shape.over in step.checked.prompt.names | step.checked.system.names
    return tuple(
        step.call(place, {"item": item.text, "number": place + 1}, () if named else item.behind)
        for place, item in enumerate(items)
    )


def _reduce(step: _Step, shape: Reduce, runs: Sequence[Run]) -> tuple[Call, ...] | Result:
    """Round after round, each over the answers of the one before."""
    items, done, rounds = step.items(shape.of), 0, 0
    if not items:
        raise InvalidFlow(f"{shape.of!r} has no items: there is nothing to reduce")
    while True:
        groups = [items[at : at + shape.width] for at in range(0, len(items), shape.width)]
        rounds += 1
        answered = runs[done : done + len(groups)]
        if len(answered) < len(groups):
            return tuple(_reduced(step, done + at, group) for at, group in enumerate(groups))
        if len(groups) == 1:
            return Result(answered[0].text, (answered[0].output,), f"{done + 1} jobs in {rounds} rounds")
        items = [_Item(run.text, (run.output,)) for run in answered]
        done += len(groups)


def _reduced(step: _Step, place: int, group: Sequence[_Item]) -> Call:
    behind = [output for item in group for output in item.behind]
    return step.call(place, {"items": tuple(item.text for item in group)}, behind)


def _vote(step: _Step, shape: Vote, runs: Sequence[Run]) -> tuple[Call, ...] | Result:
    """The models take turns; whoever uses the result builds on every ballot, the winner's first."""
    if len(runs) >= shape.ballots:
        texts = [run.text for run in runs]
        winner = choose(texts, shape.by)
        behind = (runs[winner].output, *(run.output for at, run in enumerate(runs) if at != winner))
        said = f"ballot {winner + 1} wins, {agreeing(texts, winner)} of {len(runs)} say so"
        return Result(texts[winner], behind, said)
    models = (step.checked.step.model, *shape.also)
    return tuple(replace(step.call(place), model=models[place % len(models)]) for place in range(shape.ballots))


def _critic(step: _Step, shape: Critic, runs: Sequence[Run]) -> tuple[Call, ...] | Result:
    """Draft, critique, draft, critique …: one job at a time."""
    if not runs:
        return (step.call(0),)
    draft = runs[0]
    for round in range(shape.rounds):
        place = 1 + 2 * round
        given: dict[str, Value | int] = {"draft": draft.text}
        if len(runs) <= place:
            return (step.call(place, given, (draft.output,), step.checked.critic, shape.model),)
        critique = runs[place]
        if accepts(critique.text, shape.accept):
            return Result(draft.text, (draft.output, critique.output), f"accepted in round {round + 1}")
        if len(runs) <= place + 1:
            given["critique"] = critique.text
            return (step.call(place + 1, given, (draft.output, critique.output), step.checked.revise),)
        draft = runs[place + 1]
    return Result(draft.text, (draft.output,), f"not accepted in {shape.rounds} rounds")
