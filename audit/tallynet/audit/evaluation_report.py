"""How the verification of an evaluation is told: to people in 80 columns, to programs as one JSON object."""

from textwrap import fill

from rich.console import Console
from rich.text import Text

from tallynet.audit.evaluation_verify import ReportVerification, not_proven
from tallynet.audit.report import COLOURS
from tallynet.audit.verdict import Verdict
from tallynet.console.moments import moment
from tallynet.evaluation.table import bias_remarks, describe_evaluation, metrics_table
from tallynet.protocol.bundle import read_bundle
from tallynet.protocol.units import prefixed, printable


def print_report_verification(out: Console, found: ReportVerification, trust: str, remark: str) -> None:
    """What follows the checks: the verdict, the numbers, what was trusted and what is not proven."""
    out.print(
        Text(f"\n{found.verdict.upper()} ", style=COLOURS[found.verdict]).append(conclusion(found), style="default")
    )
    if found.failure is not None:
        out.print(Text(found.failure.remedy))
    elif found.report is not None:
        evaluation = found.report.evaluation
        suite, name = evaluation.suite, printable(evaluation.model_name, 60)
        out.print(Text(f"\n{suite.name} {suite.version} on {name} ({evaluation.model[:10]}…)", style="bold"))
        out.print(metrics_table(evaluation))
        for line in bias_remarks(evaluation):
            out.print(line)
    if remark:
        out.print(Text(remark))
    _print_list(out, "\nTrusted:", [trust])
    if found.failure is None:
        _print_list(out, "NOT proven:", list(not_proven(found)))


def conclusion(found: ReportVerification) -> str:
    """One sentence on the whole."""
    if found.failure is not None:
        return f"at check {found.failure}"
    if found.verdict is Verdict.PENDING:
        return "Nothing is wrong so far; something is not anchored yet."
    return "Every check that was made holds, and the numbers follow from the runs."


def describe_report_verification(found: ReportVerification, trust: str, saved: bool) -> dict[str, object]:
    """The JSON object of `tallynet audit verify` for a report."""
    failure = found.failure
    return {
        "verdict": found.verdict,
        "reason": conclusion(found),
        "failed_check": failure.check if failure else None,
        "checks": [
            {"number": result.number, "name": result.name, "state": result.state, "detail": result.detail}
            for result in found.results
        ],
        "evaluation": describe_evaluation(found.report.evaluation) if found.report and not failure else None,
        "anchor": _describe_anchor(found) if not failure else None,
        "trusted": trust,
        "not_proven": [] if failure else list(not_proven(found)),
        "upgraded": saved,
    }


def _describe_anchor(found: ReportVerification) -> dict[str, object] | None:
    closing = read_bundle(found.report.closing) if found.report else None
    if closing is None or closing.inclusion is None:
        return None
    anchor = closing.inclusion.anchor
    return {
        "node": prefixed(closing.node),
        "index": closing.receipt.receipt.index,
        "size": anchor.size,
        "block": anchor.block,
        "time": moment(anchor.time),
        "transaction": prefixed(anchor.transaction),
    }


def _print_list(out: Console, title: str, items: list[str]) -> None:
    out.print(title)
    for item in items:
        out.print(Text(fill(item, width=out.width, initial_indent="  - ", subsequent_indent="    ")))
