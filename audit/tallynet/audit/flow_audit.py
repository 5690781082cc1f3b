"""(7) Is this flow sound? Checks (1) to (13) of spec chapter 7, up to the first that fails.

(1) to (11) need nothing but the file (`protocol.flow_checks`). (12) needs the chain: every run's bundle goes through
the checks of chapter 6, and those without an anchor are completed from the chain and their node's log on the way.
(13) needs the prompt templates that ship with this package, and comes before the chain is asked.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from tallynet.audit.anchoring import Chain
from tallynet.audit.verdict import Checked, Verdict
from tallynet.audit.verify import Verification, verify_online
from tallynet.protocol.bundle import write_bundle
from tallynet.protocol.bundle_checks import CheckResult, State
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import InvalidFlow
from tallynet.protocol.flow_checks import FLOW_CHECKS, CheckedResult, VerifiedFlow, flow_checks, verify_flow
from tallynet.protocol.flow_file import FlowFile, StepRun, parse_flow
from tallynet.templates.wording_check import CheckedWords, check_words

Tell = Callable[[CheckedResult], None]
"""Hears of every step of which all checks but the chain's hold."""


@dataclass(frozen=True, slots=True)
class FlowVerification(Checked[InvalidFlow]):
    """Everything that was found about a flow file."""

    words: CheckedWords | None
    """Whose words the steps are; None when an earlier check failed."""
    flow: VerifiedFlow | None
    """What the file proves by itself; None when one of its own checks failed."""
    steps: tuple[CheckedResult, ...]
    """The steps that hold, also where a later one does not."""
    completed: FlowFile | None = None
    """The file with the anchors that were found on the way; None when none were missing."""


def audit_flow_offline(data: bytes, domain: Domain | None = None, tell: Tell = lambda step: None) -> FlowVerification:
    """All checks but (12), with nothing but the file and the `domain` of a trusted network."""
    found = _audit_file(data, domain, tell)
    return _ended(found, _line(12, State.SKIPPED, "offline"))


async def audit_flow_online(data: bytes, chain: Chain, tell: Tell = lambda step: None) -> FlowVerification:
    """All checks, against the chain and contract of `chain`.

    Raises `Unreachable` or `Refused` when chain or node do not help: nothing is then known about the anchors.
    """
    found = _audit_file(data, chain.ledger.domain, tell)
    flow = found.flow
    if flow is None or found.failure is not None:
        return found
    runs, completed, anchored = [], False, 0
    for run in flow.file.runs:
        verification = await verify_online(run.bundle, chain)
        # (12) the contract knows the anchor of every run, in time, and no log has shrunk since
        if verification.failure is not None:
            return _failed(found, _chain_failure(run, verification))
        anchored += verification.verdict is Verdict.OK
        completed = completed or verification.completed
        runs.append(replace(run, bundle=_text(verification)) if verification.completed else run)
    state = State.OK if anchored == len(runs) else State.PENDING
    found = _ended(found, _line(12, state, f"{anchored} of {len(runs)} runs"))
    return replace(found, completed=replace(flow.file, runs=tuple(runs)) if completed else None)


def _audit_file(data: bytes, domain: Domain | None, tell: Tell) -> FlowVerification:
    steps: list[CheckedResult] = []

    def note(step: CheckedResult) -> None:
        steps.append(step)
        tell(step)

    found = FlowVerification(results=(), failure=None, words=None, flow=None, steps=())
    try:
        flow = verify_flow(parse_flow(data), domain, note)
        found = replace(found, results=tuple(_line(*line) for line in flow_checks(flow)), flow=flow)
        found = replace(found, words=check_words(flow.file.plan.flow))
    except InvalidFlow as error:
        found = _failed(found, error)
    return replace(found, steps=tuple(steps))


def _ended(found: FlowVerification, chain: CheckResult) -> FlowVerification:
    """With the last two lines, where nothing has failed before them."""
    if found.failure is not None or found.words is None:
        return found
    return _and(_and(found, chain), _line(13, found.words.state, found.words.detail))


def _failed(found: FlowVerification, error: InvalidFlow) -> FlowVerification:
    number = error.check or 1
    return replace(_and(found, _line(number, State.FAILED, error.message)), failure=error)


def _and(found: FlowVerification, line: CheckResult) -> FlowVerification:
    return replace(found, results=(*found.results, line))


def _line(number: int, state: State, detail: str) -> CheckResult:
    return CheckResult(number, FLOW_CHECKS[number], state, detail)


def _chain_failure(run: StepRun, verification: Verification) -> InvalidFlow:
    failure = verification.failure
    remedy, evidence = (failure.remedy, failure.evidence) if failure else (None, None)
    return InvalidFlow(
        f"run {run.place}: bundle check {failure}", step=run.step, check=12, evidence=evidence, remedy=remedy
    )


def _text(verification: Verification) -> bytes:
    if verification.bundle is None:
        raise ValueError("a bundle that was completed is there")
    return write_bundle(verification.bundle).encode()
