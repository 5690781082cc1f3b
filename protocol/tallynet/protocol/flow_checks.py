"""(7) What a flow file proves by itself: checks (2) to (11) of spec chapter 7, in this order, offline.

Check (1) is `flow_file.parse_flow`; (12), the anchors of the runs on the chain, is the auditor's. None of this says
that an answer is true or that its model gave it, nor that the client did not run the flow before and keep another
outcome to itself: see the chapter on threats.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tallynet.protocol.bundle import Bundle, parse_bundle
from tallynet.protocol.bundle_checks import State, check_inclusion, check_statements
from tallynet.protocol.bundle_openings import OpenedChunk, Part, Whole, opened_request, opened_text
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import InvalidBundle, InvalidFlow
from tallynet.protocol.flow_calls import Call, Known, Result, Run, advance
from tallynet.protocol.flow_file import FlowFile, StepRun, WrittenFlow
from tallynet.protocol.flow_plan import check_input, job_nonce, plan_digest
from tallynet.protocol.flow_rules import CheckedFlow, at_step, check_flow
from tallynet.protocol.job import Task
from tallynet.protocol.leaf import Leaf
from tallynet.protocol.request import encode_request
from tallynet.protocol.units import Digest, Wei, short

FLOW_CHECKS = {
    1: "the file is a flow file, in its one form",
    2: "the definition can be run",
    3: "models and inputs are those of the plan",
    4: "the bundle of every run holds",
    5: "the runs are those that the definition calls for",
    6: "each was asked of the step's model, in its way",
    7: "each came to its own end and is open",
    8: "each names as parents what it builds on",
    9: "each prompt is what the template makes",
    10: "one client signed every job for this plan",
    11: "the file is as it was written",
    12: "the contract knows the anchor of every run",
    13: "a task's words are its template's",
}
"""Every check of chapter 7, by number."""


@dataclass(frozen=True, slots=True)
class CheckedRun:
    """One run whose bundle holds."""

    step: str
    place: int
    bundle: Bundle
    leaf: Leaf
    text: str

    @property
    def anchored(self) -> bool:
        return self.bundle.inclusion is not None


@dataclass(frozen=True, slots=True)
class CheckedResult:
    """One step that holds."""

    name: str
    runs: tuple[CheckedRun, ...]
    result: Result
    prompts: State
    """SKIPPED where an input is closed and the prompts could not be made again."""

    @property
    def price(self) -> Wei:
        return Wei(sum(run.leaf.price for run in self.runs))


@dataclass(frozen=True, slots=True)
class VerifiedFlow:
    """A flow file of which checks (2) to (11) hold."""

    file: FlowFile
    plan: Digest
    steps: tuple[CheckedResult, ...]

    @property
    def result(self) -> Result:
        """That of the last step."""
        return self.steps[-1].result


Tell = Callable[[CheckedResult], None]


def verify_flow(written: WrittenFlow, domain: Domain | None = None, tell: Tell = lambda step: None) -> VerifiedFlow:
    """Checks (2) to (11). Raises `InvalidFlow` at the first that fails, with the step's name where it is one step's.

    `domain` is that of a network one trusts. `tell` hears of every step whose checks hold.
    """
    file = written.file
    checked = check_flow(file.plan.flow)  # (2)
    known = Known(_check_plan(file))
    given = _by_step(file, checked)
    steps = []
    for name in checked.steps:
        with at_step(name):
            step = _check_step(checked, name, known, given[name], file, domain)
        known.results[name] = step.result
        steps.append(step)
        tell(step)
    digest = _check_signed_for(file, steps)
    written.check_unchanged()  # (11)
    return VerifiedFlow(file, digest, tuple(steps))


def _check_plan(file: FlowFile) -> dict[str, str | tuple[str, ...] | None]:
    """The inputs, None for the closed ones."""
    plan, values = file.plan, dict.fromkeys(file.plan.flow.inputs)
    # (3) it names an id for each model of the definition, and a model named by its id is that one
    renamed = [name for name, model in plan.models.items() if name.startswith("0x") and name != model]
    if tuple(plan.models) != plan.flow.models or renamed:
        raise InvalidFlow("the plan names other models than the definition", check=3)
    # (3) it commits to each input of the definition
    if tuple(plan.inputs) != tuple(plan.flow.inputs):
        raise InvalidFlow("the plan commits to other inputs than the definition has", check=3)
    for name, opened in file.opened.items():
        check_input(name, plan.flow.inputs[name], opened.value)
        # (3) each opened input, under its salt, is the one that is committed to
        if opened.commitment != plan.inputs[name]:
            raise InvalidFlow(
                f"the plan commits to input {name!r} as {short(plan.inputs[name])}, value and salt in the file hash to "
                f"{short(opened.commitment)}",
                check=3,
            )
    return {name: file.opened[name].value if name in file.opened else None for name in values}


def _by_step(file: FlowFile, checked: CheckedFlow) -> Mapping[str, Sequence[StepRun]]:
    order = {name: at for at, name in enumerate(checked.steps)}
    unknown = [run.step for run in file.runs if run.step not in order]
    # (5) every run belongs to a step of the definition
    if unknown:
        raise InvalidFlow("the definition has no such step", step=unknown[0], check=5)
    runs = {name: [run for run in file.runs if run.step == name] for name in order}
    # (5) they stand in the order of the steps, and of their places, from 0
    for name, own in runs.items():
        if [run.place for run in own] != list(range(len(own))):
            raise InvalidFlow(f"its runs are numbered {[run.place for run in own]}", step=name, check=5)
    if [order[run.step] for run in file.runs] != sorted(order[run.step] for run in file.runs):
        raise InvalidFlow("its runs do not stand in the order of the steps", check=5)
    return runs


def _check_step(
    checked: CheckedFlow, name: str, known: Known, given: Sequence[StepRun], file: FlowFile, domain: Domain | None
) -> CheckedResult:
    runs = tuple(_check_bundle(run, domain) for run in given)
    answered = [Run(run.text, run.leaf.output) for run in runs]
    done, prompts = 0, State.OK
    while True:
        with at_step(name, 5):
            found = advance(checked, name, known, answered[:done])
        if isinstance(found, Result):
            break
        # (5) each that the step asks for is there
        if len(runs) < done + len(found):
            raise InvalidFlow(f"it asks for {done + len(found)} runs, the file holds {len(runs)}", check=5)
        for call in found:
            _check_call(call, runs[call.place], file)
            prompts = State.SKIPPED if call.request is None else prompts
        done += len(found)
    # (5) there is no run that it does not ask for
    if done < len(runs):
        raise InvalidFlow(f"it asks for {done} runs, the file holds {len(runs)}", check=5)
    return CheckedResult(name, runs, found, prompts)


def _check_bundle(run: StepRun, domain: Domain | None) -> CheckedRun:
    # (4) all checks of chapter 6 that need only the bundle hold
    try:
        file = parse_bundle(run.bundle)
        tuple(check_statements(file.bundle, domain))
        check_inclusion(file.bundle)
        file.check_unchanged()
    except InvalidBundle as error:
        raise InvalidFlow(f"run {run.place}: bundle check {error}", check=4, evidence=error.evidence) from error
    bundle, leaf = file.bundle, Leaf.unpack(file.bundle.receipt.leaf)
    # (7) the model came to its own end
    if not leaf.status.finished:
        raise InvalidFlow(f"run {run.place} was cut short: {leaf.status.name.lower()}", check=7)
    # (7) the whole answer is open: what comes next follows from it
    if not _is_open(bundle):
        raise InvalidFlow(f"the answer of run {run.place} is not open", check=7)
    return CheckedRun(run.step, run.place, bundle, leaf, opened_text(bundle.opening) or "")


def _is_open(bundle: Bundle) -> bool:
    if isinstance(bundle.opening, Part):
        return all(isinstance(chunk, OpenedChunk) for chunk in bundle.opening.chunks) and bool(bundle.opening.chunks)
    return isinstance(bundle.opening, Whole)


def _check_call(call: Call, run: CheckedRun, file: FlowFile) -> None:
    job, model = run.bundle.job.job, file.plan.models[call.model]
    # (6) the model is the one that the plan names, the task is to generate
    if job.model.hex() != model[2:] or job.task != Task.GENERATE:
        raise InvalidFlow(f"run {run.place} is of model {short(job.model)}, the plan names {model}", check=6)
    # (6) tokens are chosen as the step says
    if job.sampling != call.step.sampling:
        raise InvalidFlow(
            f"run {run.place} was asked for with {job.sampling}, the step says {call.step.sampling}", check=6
        )
    # (8) the parents are the outputs that the job builds on, in their order, and no others
    if job.parents != call.parents:
        raise InvalidFlow(
            f"run {run.place} names the parents {_named(job.parents)}, it builds on {_named(call.parents)}",
            check=8,
            evidence={"named": job.parents, "needed": call.parents},
        )
    # (9) the request is what the templates make of inputs and results
    asked = opened_request(run.bundle.opening)
    if call.request is None:
        return
    if asked is None or asked != encode_request(call.request):
        how = "is not open" if asked is None else "is not what its template makes"
        raise InvalidFlow(f"the prompt of run {run.place} {how}", check=9)


def _check_signed_for(file: FlowFile, steps: Sequence[CheckedResult]) -> Digest:
    """The plan's digest."""
    digest, runs = plan_digest(file.plan), [run for step in steps for run in step.runs]
    first = runs[0].bundle if runs else None
    for run in runs:
        # (10) the job's nonce is that of this plan, this step and this place
        if run.bundle.job.job.nonce != job_nonce(file.secret, digest, run.step, run.place):
            raise InvalidFlow(
                f"the job of run {run.place} was not signed for this plan: definition, models or inputs were others, "
                "or it was made for something else",
                step=run.step,
                check=10,
            )
        # (10) the client is the same, and so are chain and contract
        if first is not None and (run.bundle.job.job.client, run.bundle.domain) != (first.job.job.client, first.domain):
            raise InvalidFlow(f"run {run.place} is another client's, or of another chain", step=run.step, check=10)
    return digest


def _named(outputs: Sequence[Digest]) -> str:
    return ", ".join(map(short, outputs)) or "none"


def flow_checks(verified: VerifiedFlow) -> Iterator[tuple[int, State, str]]:
    """The lines of a report: number, state, and what was found."""
    runs = [run for step in verified.steps for run in step.runs]
    closed = [step.name for step in verified.steps if step.prompts is State.SKIPPED]
    prompts = f"not of {', '.join(closed)}: an input is closed" if closed else f"{len(runs)} prompts"
    opened, inputs = len(verified.file.opened), len(verified.file.plan.inputs)
    details = {
        1: f"{len(runs)} runs",
        2: f"{len(verified.steps)} steps",
        3: f"{opened} of {inputs} inputs opened",
        4: f"{len(runs)} bundles",
        5: f"{len(runs)} runs",
        6: ", ".join(verified.file.plan.models),
        7: f"{sum(run.leaf.completion_tokens for run in runs)} tokens",
        8: f"{sum(len(run.bundle.job.job.parents) for run in runs)} parents",
        9: prompts,
        10: f"plan {short(verified.plan)}",
        11: "its second line holds",
    }
    for number, detail in details.items():
        yield number, State.SKIPPED if number == 9 and closed else State.OK, detail
