"""(6) What a sampling audit of its node adds to one run: it was drawn and replayed itself, or only its like were.

That a run passed is the auditor's word, whose key is named with the level that follows from it.
"""

from dataclasses import dataclass

from tallynet.audit.sample_check import check_draw, check_statement
from tallynet.audit.sample_file import Outcome, SampledRun, SampleReport
from tallynet.audit.sample_statement import Standing, standing
from tallynet.ledger.ledger import Ledger
from tallynet.protocol.bundle import Bundle
from tallynet.protocol.errors import InvalidReport
from tallynet.protocol.units import prefixed


@dataclass(frozen=True, slots=True)
class Sampled:
    """A run, and a sample that speaks of it."""

    report: SampleReport
    run: SampledRun | None
    """The run itself, if it was drawn; it passed then."""

    @property
    def words(self) -> str:
        """Whose word it is, as a sentence."""
        if self.run is not None:
            return f"Auditor {self.report.auditor} replayed this run, and it passed."
        return f"Auditor {self.report.auditor}: {self.report.says} This run was not drawn."


async def find_sampled(bundle: Bundle, report: SampleReport, ledger: Ledger) -> Sampled:
    """Raises `InvalidReport` when the report does not hold, or is no ground to trust this run; `ChainUnreachable`."""
    check_statement(report)
    await check_draw(report, ledger)
    return check_sampled(bundle, report)


def check_sampled(bundle: Bundle, report: SampleReport) -> Sampled:
    """The same of a report that holds."""
    job, index = bundle.job.job, bundle.receipt.receipt.index
    # (9) it is about the node and the model of the run
    if (report.node, report.model) != (prefixed(bundle.node), prefixed(job.model)):
        raise InvalidReport(
            f"it is about model {report.model} on node {report.node}, the run is of {prefixed(job.model)} on"
            f" {prefixed(bundle.node)}",
            check=9,
        )
    # (10) the run is in the log that was sampled, and its client let it be drawn
    if index >= report.size or not job.audit_consent:
        why = "gave no consent to audits" if index < report.size else f"is entry {index}"
        raise InvalidReport(f"it speaks of {report.size} entries with consent, the run {why}", check=10)
    return _judge(bundle, report)


def _judge(bundle: Bundle, report: SampleReport) -> Sampled:
    index, job = bundle.receipt.receipt.index, prefixed(bundle.receipt.receipt.job)
    run = next((run for run in report.runs if run.index == index), None)
    # (11) if the run was drawn, it is the one at that entry and passed
    if run is not None and (run.job, run.outcome) != (job, Outcome.PASS):
        told = f"{run.outcome}: {run.says}" if run.says else run.outcome
        raise InvalidReport(f"it has job {run.job} at entry {index} ({told}), the run is job {job}", check=11)
    # (12) if it was not, the node came out well
    if run is None and standing(report) is not Standing.GOOD:
        raise InvalidReport(f"the node came out of it as {standing(report)}: {report.says}", check=12)
    return Sampled(report, run)
