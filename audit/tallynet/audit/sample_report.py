"""How a sampling audit is told: to people in 80 columns, to programs as one JSON object."""

from textwrap import fill

import msgspec
from rich.console import Console
from rich.text import Text

from tallynet.audit.replay_report import print_open_questions
from tallynet.audit.sample_file import Outcome, SampledRun, SampleReport, SignedReport
from tallynet.audit.sample_statement import Standing, standing, state
from tallynet.console.moments import moment
from tallynet.protocol.units import Seconds, prefixed, printable

STYLES = {Standing.GOOD: "bold green", Standing.OPEN: "yellow", Standing.BAD: "bold red"}
OPEN_QUESTIONS = (
    "runs without consent: they are covered by their clients' own replays",
    "entries after the anchored log, and runs that were kept out of it",
    "that the answers are true",
)
SHOWN = 20
"""Runs that did not pass, as many as are listed for people."""


def print_sample(out: Console, report: SampleReport) -> None:
    """The statement, what it rests on, and what it does not cover."""
    found = standing(report)
    out.print(Text(f"{found.upper()} ", style=STYLES[found]).append(f"node {report.node}", style="default"))
    out.print(Text(fill(report.says, width=out.width)))
    for label, value in facts(report):
        out.print(Text(f"  {label:<9} ", style="dim").append(value, style="default"), soft_wrap=True)
    strange = [run for run in report.runs if run.outcome.judged and run.outcome is not Outcome.PASS]
    for run in strange[:SHOWN]:
        out.print(Text(fill(_line(run), width=out.width, initial_indent="  ", subsequent_indent="    ")))
    if len(strange) > SHOWN:
        out.print(Text(f"  … and {len(strange) - SHOWN} more; the report has them all."))
    print_open_questions(out, OPEN_QUESTIONS)


def facts(report: SampleReport) -> list[tuple[str, str]]:
    """What the statement rests on, as labels and values."""
    counts = [(outcome, report.count(outcome)) for outcome in Outcome]
    told = ", ".join(f"{count} {outcome}" for outcome, count in counts if count)
    return [
        ("drawn", f"{len(report.runs)} of {report.size:,} entries by block {report.draw_block}"),
        ("outcomes", told or "none"),
        ("together", report.together),
        ("anchor", f"block {report.anchor_block}, root {report.root}"),
        ("model", report.model),
        ("auditor", f"{report.auditor}, {moment(Seconds(report.at))}"),
    ]


def describe_sample(signed: SignedReport) -> dict[str, object]:
    """The JSON object of `tallynet audit sample` and `report`."""
    report, stated = signed.report, state(signed.report.runs, signed.report.confidence_millionths)
    return {
        "standing": standing(report),
        "judged": stated.judged,
        "bad": stated.bad,
        "suspect": stated.suspect,
        "unanswered": stated.unanswered,
        "at_most_percent": report.at_most_millionths / 10_000,
        "at_least_percent": report.at_least_millionths / 10_000,
        "digest": prefixed(report.digest),
        **msgspec.to_builtins(report),
        "signature": signed.signature,
    }


def _line(run: SampledRun) -> str:
    return f"entry {run.index} {run.outcome}: {printable(run.says, 300)}"
