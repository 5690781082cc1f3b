"""How a replay is told: to people in 80 columns, to programs as one JSON object."""

import math
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from tallynet.audit.judgement import Check, Judgement, Verdict
from tallynet.audit.replay import Replayed

STYLES = {Verdict.PASS: "green", Verdict.SUSPECT: "yellow", Verdict.FAIL: "bold red"}
MARKS = {Verdict.PASS: "✓", Verdict.SUSPECT: "?", Verdict.FAIL: "✗"}


def print_replay(out: Console, replayed: Replayed) -> None:
    """Every check, the verdict, and what was not checked."""
    judgement = replayed.judgement
    for check in judgement.checks:
        line = Text(f"{f'({check.number})':>5} ").append(MARKS[check.verdict], style=STYLES[check.verdict])
        out.print(line.append(f" {check.name:<15}").append(check.says, style="dim"))
    verdict = Text(f"\n{judgement.verdict.upper()} ", style=STYLES[judgement.verdict])
    out.print(verdict.append(judgement.reason, style="default"))
    out.print(f"Thresholds of {replayed.pair}.")
    print_open_questions(out, judgement.not_checked)


def print_open_questions(out: Console, questions: Sequence[str]) -> None:
    if questions:
        out.print("NOT checked:")
    for question in questions:
        out.print(Text(f"  - {question}"))


def describe_replay(replayed: Replayed) -> dict[str, object]:
    """The JSON object of `tallynet audit replay`."""
    environment = replayed.environment
    return {
        **describe_judgement(replayed.judgement),
        "thresholds": replayed.pair,
        "same_environment": environment is not None,
        "dtype": environment.hardware.dtype_name if environment else None,
    }


def describe_judgement(judgement: Judgement) -> dict[str, object]:
    return {
        "verdict": judgement.verdict,
        "reason": judgement.reason,
        "tokens": judgement.tokens,
        "checks": [_describe_check(check) for check in judgement.checks],
        "not_checked": list(judgement.not_checked),
    }


def _describe_check(check: Check) -> dict[str, object]:
    return {
        "number": check.number,
        "name": check.name,
        "verdict": check.verdict,
        "value": _finite(check.value),
        "suspect": _finite(check.suspect),
        "fail": _finite(check.fail),
        "says": check.says,
    }


def _finite(value: float) -> float | None:
    """JSON has no infinity."""
    return value if math.isfinite(value) else None
