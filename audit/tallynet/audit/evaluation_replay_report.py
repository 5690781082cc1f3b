"""How the replay of an evaluation is told: to people in 80 columns, to programs as one JSON object."""

from textwrap import fill

from rich.console import Console
from rich.text import Text

from tallynet.audit.evaluation_replay import ReplayedEvaluation, ReplayedRun
from tallynet.audit.judgement import Verdict
from tallynet.audit.replay_report import STYLES, print_open_questions
from tallynet.console.terminal import DONE, FAILED, PENDING
from tallynet.protocol.units import printable

SHOWN = 20
"""Runs that did not pass, as many as are listed for people."""
OPEN_QUESTIONS = ("that the answers are true", "that the node answers others as it answered this evaluator")


def print_replays(out: Console, replayed: ReplayedEvaluation) -> None:
    """The verdict, and every run that is not a plain pass."""
    verdict, counts = replayed.verdict, [(verdict, replayed.count(verdict)) for verdict in Verdict]
    told = ", ".join(f"{count} {name}" for name, count in counts if count)
    line = Text(f"{verdict.upper()} ", style=STYLES[verdict])
    out.print(line.append(f"{len(replayed.runs)} of {replayed.of} runs made again: {told}.", style="default"))
    strange = [run for run in replayed.runs if run.verdict is not Verdict.PASS]
    for run in strange[:SHOWN]:
        said = f"{run.question.name} {run.verdict}: {printable(run.says, 300)}"
        out.print(Text(fill(said, width=out.width, initial_indent="  ", subsequent_indent="    ")))
    if len(strange) > SHOWN:
        out.print(Text(f"  … and {len(strange) - SHOWN} more; --json has them all."))
    print_open_questions(out, OPEN_QUESTIONS)


def describe_replays(replayed: ReplayedEvaluation) -> dict[str, object]:
    """The JSON object of `tallynet audit evaluate`."""
    return {
        "verdict": replayed.verdict,
        "replayed": len(replayed.runs),
        "of": replayed.of,
        "runs": [_describe(run) for run in replayed.runs],
    }


def exit_code(replayed: ReplayedEvaluation) -> int:
    return {Verdict.PASS: DONE, Verdict.SUSPECT: PENDING, Verdict.FAIL: FAILED}[replayed.verdict]


def _describe(run: ReplayedRun) -> dict[str, object]:
    question = run.question
    return {
        "part": question.part,
        "item": question.item,
        "side": question.side,
        "verdict": run.verdict,
        "says": printable(run.says, 400),
    }
