"""What a report proves by itself: checks (2) to (9) of spec chapter 8, in this order, offline.

Check (1) is `report.decode_report`; (10) to (14) are the auditor's. None of this says that the model gave these
answers: only a replay of its runs does.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tallynet.evaluation.figures import Metric
from tallynet.evaluation.metrics import measure
from tallynet.evaluation.outputs import Output, read_output
from tallynet.evaluation.questions import Question, list_questions
from tallynet.evaluation.report import REMEDY, Evaluation, Report, Run, closing_request
from tallynet.evaluation.suite import find_fault
from tallynet.protocol.bundle import Bundle, read_bundle
from tallynet.protocol.bundle_checks import CheckResult, State, verify_bundle
from tallynet.protocol.bundle_openings import Whole
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import Invalid, InvalidReport
from tallynet.protocol.leaf import Leaf
from tallynet.protocol.request import encode_request
from tallynet.protocol.units import prefixed, printable, short

NAMES = {
    1: "the file is a report, in its one form",
    2: "chain and contract are the network's",
    3: "the suite has its digest",
    4: "there is one run for each question",
    5: "every run's own checks hold",
    6: "every run asks its question",
    7: "every run was answered to its end",
    8: "the numbers follow from the runs",
    9: "the closing run names this evaluation",
    10: "the closing run is in a signed log",
    11: "the contract knows its anchor",
    12: "it was anchored by the promised time",
    13: "the node's log has not shrunk since",
    14: "every run is in an anchored log",
}
"""Every check of chapter 8, by number."""

TOLERANCE = 1e-9
"""Relative; the last bits of exp and log are not the same on every machine."""


@dataclass(frozen=True, slots=True)
class Opened:
    """What the checks have read: the runs and the closing one."""

    runs: tuple[tuple[Question, Bundle], ...]
    closing: Bundle


Say = Callable[[CheckResult], None]
"""Hears every result as it comes."""


def passed(number: int, detail: str) -> CheckResult:
    """The result of a check of chapter 8 that holds; `detail` says what was found."""
    return CheckResult(number, NAMES[number], State.OK, detail)


def check_report(report: Report, domain: Domain | None, say: Say) -> Opened:
    """Checks (2) to (9). `say` hears each that holds; raises `InvalidReport`, whose `check` is the number, at the first
    that does not. `domain` is that of a network one trusts; without it, (2) is skipped."""
    evaluation = report.evaluation
    say(_check_domain(evaluation, domain))
    say(_check_suite(evaluation))
    asked = list(_pair(evaluation))
    say(passed(4, f"{len(asked)} runs" + (f", {evaluation.limit} items a part" if evaluation.limit else "")))
    runs = tuple((question, _open(run, question, evaluation)) for question, run in asked)
    _check_parties(evaluation, runs)
    say(passed(5, f"by {len(evaluation.nodes)} node{'s' * (len(evaluation.nodes) > 1)}"))
    for question, bundle in runs:
        check_asked(question, bundle, evaluation.client, evaluation.model)
    say(passed(6, f"of model {evaluation.model[2:6]}…{evaluation.model[-4:]}"))
    for question, bundle in runs:
        check_finished(question, bundle)
    say(passed(7, "none was cut short"))
    say(_check_metrics(evaluation, runs))
    closing = _open_closing(report)
    say(passed(9, f"digest {short(evaluation.digest)}"))
    return Opened(runs, closing)


def open_whole(text: str, domain: Domain) -> Bundle:
    """A bundle of `domain` that opens its whole run and whose own checks hold. Raises `InvalidBundle`, or
    `InvalidReport` where it is not open."""
    bundle = read_bundle(text)
    verify_bundle(bundle, domain)
    if not isinstance(bundle.opening, Whole):
        raise InvalidReport("the bundle does not open the whole run")
    return bundle


def check_asked(question: Question, bundle: Bundle, client: str, model: str) -> None:
    """Check (6), of a bundle of `open_whole`; `client` and `model` in hex. Raises `InvalidReport`."""
    job = bundle.job.job
    # (6) every run is the evaluator's job for this model, of the question's kind and with its parameters
    for name, said, expected in (
        ("client", prefixed(job.client), client),
        ("model", prefixed(job.model), model),
        ("task", job.task, int(question.task)),
        ("sampling", job.sampling, question.sampling),
    ):
        if said != expected:
            raise fault(6, f"{question.name}: its {name} is {said}, it should be {expected}")
    # (6) it asks what the suite asks, and builds on no other job
    if _request_of(bundle) != encode_request(question.request) or job.parents:
        raise fault(6, f"{question.name}: it asks something else than the suite")


def check_finished(question: Question, bundle: Bundle) -> None:
    """Check (7). Raises `InvalidReport`."""
    status = Leaf.unpack(bundle.receipt.leaf).status
    # (7) no run was cut short
    if not status.finished:
        raise fault(7, f"{question.name}: the node ended it with {status.name.lower()}")


@contextmanager
def failing(number: int, what: str) -> Iterator[None]:
    """Turns an error about a part of the report into the failure of check `number`, by its name."""
    try:
        yield
    except Invalid as error:
        raise fault(number, f"{what}: {error}", error) from error


def fault(number: int, message: str, cause: Invalid | None = None) -> InvalidReport:
    """The failure of check `number`, with the evidence of its cause, if that has any."""
    return InvalidReport(message, check=number, evidence=cause.evidence if cause else None, remedy=REMEDY)


def _check_domain(evaluation: Evaluation, domain: Domain | None) -> CheckResult:
    if domain is None:
        return CheckResult(2, NAMES[2], State.SKIPPED, "no network file to compare")
    # (2) chain and contract are those of the network
    if evaluation.domain != domain:
        raise InvalidReport(
            f"the report is about {evaluation.domain}, the network is {domain}",
            check=2,
            remedy="Name the network file of the report's own network with --network.",
        )
    return passed(2, f"chain {domain.chain_id}, {short(domain.contract)}")


def _check_suite(evaluation: Evaluation) -> CheckResult:
    suite = evaluation.suite
    # (3) the suite is one, and has the digest that the report states
    if found := find_fault(suite):
        raise fault(3, f"the suite is none: {found}")
    if prefixed(suite.digest) != evaluation.suite_digest:
        raise fault(3, f"the suite has the digest {prefixed(suite.digest)}, the report says {evaluation.suite_digest}")
    return passed(3, f"{suite.name} {suite.version}, {short(suite.digest)}")


def _pair(evaluation: Evaluation) -> Iterator[tuple[Question, Run]]:
    questions = list_questions(evaluation.suite, evaluation.limit)
    # (4) there is one run for each question, in their order, none left out
    for question, run in zip(questions, evaluation.runs, strict=False):
        if (run.part, run.item, run.side) != (question.part, question.item, question.side):
            raise fault(4, f"where {question.name} should stand, there is a run of {run.part} {run.item + 1}")
    if len(evaluation.runs) != len(questions):
        raise fault(4, f"there are {len(evaluation.runs)} runs, the suite has {len(questions)} questions")
    yield from zip(questions, evaluation.runs, strict=True)


def _open(run: Run, question: Question, evaluation: Evaluation) -> Bundle:
    # (5) every run is a whole open bundle whose own checks hold, without an anchor, of the job and output listed
    with failing(5, question.name):
        bundle = open_whole(run.bundle, evaluation.domain)
    receipt, leaf = bundle.receipt.receipt, Leaf.unpack(bundle.receipt.leaf)
    if bundle.inclusion is not None:
        raise fault(5, f"{question.name}: the bundle has an anchor, which no closing run can commit to")
    listed, true = (run.job, run.output), (prefixed(receipt.job), prefixed(leaf.output))
    if listed != true:
        raise fault(5, f"{question.name}: it is listed with job and output {listed}, its bundle has {true}")
    return bundle


def _check_parties(evaluation: Evaluation, runs: tuple[tuple[Question, Bundle], ...]) -> None:
    nodes = tuple(sorted({prefixed(bundle.node) for _, bundle in runs}))
    # (5) the nodes that are listed are those that answered, and no job stands for two questions
    if nodes != evaluation.nodes:
        raise fault(5, f"the report lists the nodes {evaluation.nodes}, its runs are of {nodes}")
    jobs = [run.job for run in evaluation.runs]
    if len(set(jobs)) < len(jobs):
        raise fault(5, "one job stands for two questions")


def _check_metrics(evaluation: Evaluation, runs: tuple[tuple[Question, Bundle], ...]) -> CheckResult:
    outputs: dict[Question, Output] = {}
    for question, bundle in runs:
        with failing(8, question.name):
            outputs[question] = read_output(bundle, question)
    computed = measure(evaluation.suite, outputs)
    # (8) every number and interval follows from the runs, up to one millionth, and there are no others
    if [(stated.part, stated.kind) for stated in evaluation.metrics] != [(one.part, one.kind) for one in computed]:
        raise fault(8, "it states other numbers than those that follow from its runs")
    for stated, true in zip(evaluation.metrics, computed, strict=True):
        if not _same(stated, true):
            raise fault(
                8,
                f"{stated.part} {stated.kind}: the report says {_figures(stated)}, its runs give {_figures(true)} "
                f"(the report is by {printable(evaluation.software)})",
            )
    return passed(8, f"{len(computed)} numbers")


def _same(stated: Metric, true: Metric) -> bool:
    pairs = ((stated.value, true.value), (stated.low, true.low), (stated.high, true.high))
    return stated.items == true.items and all(abs(a - b) <= 1 + TOLERANCE * abs(b) for a, b in pairs)


def _figures(metric: Metric) -> str:
    return f"{metric.value / 1e6:.6f} ({metric.low / 1e6:.6f} to {metric.high / 1e6:.6f}) of {metric.items}"


def _open_closing(report: Report) -> Bundle:
    evaluation = report.evaluation
    # (9) the closing run is a bundle whose own checks hold, open, by the same client
    with failing(9, "the closing run"):
        bundle = open_whole(report.closing, evaluation.domain)
    client = prefixed(bundle.job.job.client)
    if client != evaluation.client:
        raise fault(9, f"the closing run is by client {client}, the evaluation by {evaluation.client}")
    # (9) its request is the digest of this evaluation
    if _request_of(bundle) != encode_request(closing_request(evaluation.digest)):
        digest = prefixed(evaluation.digest)
        raise fault(9, f"the closing run names another evaluation than this one, whose digest is {digest}")
    return bundle


def _request_of(bundle: Bundle) -> bytes:
    if not isinstance(bundle.opening, Whole):  # `open_whole` lets no other pass
        raise InvalidReport("the bundle does not open the whole run")
    return bundle.opening.request
