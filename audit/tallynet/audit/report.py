"""How a verification is told: to people in 80 columns, to programs as one JSON object."""

from textwrap import fill

from rich.console import Console
from rich.text import Text

from tallynet.audit.claims import level, not_proven
from tallynet.audit.conversation import answer, closed, describe_opening, excerpt, opened, question
from tallynet.audit.sampled import Sampled
from tallynet.audit.verdict import Verdict
from tallynet.audit.verify import Verification
from tallynet.console.moments import moment
from tallynet.protocol.bundle import AnchorRef, Bundle
from tallynet.protocol.bundle_checks import CheckResult, State
from tallynet.protocol.units import prefixed

MARKS = {
    State.OK: ("✓", "green"),
    State.FAILED: ("✗", "bold red"),
    State.PENDING: ("…", "yellow"),
    State.SKIPPED: ("–", "dim"),
}
COLOURS = {Verdict.OK: "bold green", Verdict.FAILED: "bold red", Verdict.PENDING: "bold yellow"}
NAME_WIDTH = 38
EXCERPT = 60
"""Characters of question and answer shown."""


def print_check(out: Console, result: CheckResult, width: int = NAME_WIDTH) -> None:
    """One line of a verification; names are `width` characters wide."""
    mark, colour = MARKS[result.state]
    line = Text(f"{f'({result.number})':>5} ").append(mark, style=colour)
    if result.state is State.FAILED:
        line.append(f" {result.name}", style=colour)
    else:
        line.append(f" {result.name:<{width}} ").append(result.detail, style="dim")
    out.print(line, soft_wrap=True)


def print_verification(
    out: Console, verification: Verification, trust: str, remark: str, sampled: Sampled | None = None
) -> None:
    """What follows the checks: the verdict, the run, what was trusted and what is not proven."""
    verdict, words = verification.verdict, conclusion(verification, sampled)
    out.print(Text(f"\n{verdict.upper()} ", style=COLOURS[verdict]).append(words, style="default"))
    if verification.failure is not None:
        out.print(Text(verification.failure.remedy))
    elif verification.bundle is not None:
        _print_run(out, verification.bundle)
    if remark:
        out.print(Text(remark))
    _print_list(out, "Trusted:", [trust, *([sampled.words] if sampled else [])])
    if verification.failure is None:
        _print_list(out, "NOT proven:", list(not_proven(verification, sampled)))


def conclusion(verification: Verification, sampled: Sampled | None = None) -> str:
    """One sentence on the whole; for a failure both values."""
    if verification.failure is not None:
        return f"at check {verification.failure}"
    if verification.verdict is Verdict.OK:
        return f"Every check that was made holds. Evidence level: {level(verification, sampled)}."
    return f"Nothing is wrong so far. {_waiting_for(verification)}"


def describe_verification(
    verification: Verification, trust: str, saved: bool, sampled: Sampled | None = None
) -> dict[str, object]:
    """The JSON object of `tallynet audit verify`."""
    failure, bundle = verification.failure, verification.bundle
    return {
        "verdict": verification.verdict,
        "level": level(verification, sampled),
        "reason": conclusion(verification, sampled),
        "failed_check": failure.check if failure else None,
        "checks": [
            {"number": found.number, "name": found.name, "state": found.state, "detail": found.detail}
            for found in verification.results
        ],
        "run": _describe_run(bundle) if bundle else None,
        "trusted": trust,
        "not_proven": [] if failure else list(not_proven(verification, sampled)),
        "upgraded": saved,
        "sample": None if sampled is None else {"auditor": sampled.report.auditor, "says": sampled.words},
    }


def print_upgrade(out: Console, verification: Verification, name: str, written: bool) -> None:
    """What `tallynet audit upgrade` did."""
    verdict, bundle = verification.verdict, verification.bundle
    title, words = verdict.upper(), conclusion(verification)
    if verdict is Verdict.OK and bundle is not None and bundle.inclusion is not None:
        title, did = ("UPGRADED", "was written") if written else ("ANCHORED", "held its anchor before")
        words = f"{name} {did}: {_place(bundle.receipt.receipt.index, bundle.inclusion.anchor)}."
    out.print(Text(f"{title} ", style=COLOURS[verdict]).append(words, style="default"))
    if verification.failure is not None:
        out.print(Text(verification.failure.remedy))


def describe_upgrade(verification: Verification, target: str, written: bool) -> dict[str, object]:
    """The JSON object of `tallynet audit upgrade`."""
    failure, bundle = verification.failure, verification.bundle
    return {
        "verdict": verification.verdict,
        "reason": conclusion(verification),
        "failed_check": failure.check if failure else None,
        "upgraded": written,
        "file": target,
        "anchor": _describe_anchor(bundle) if bundle else None,
    }


def _place(index: int, anchor: AnchorRef) -> str:
    return f"leaf {index} of {anchor.size}, anchored in block {anchor.block} at {moment(anchor.time)}"


def _waiting_for(verification: Verification) -> str:
    if verification.bundle is None or verification.state(9) is State.OK:
        return "The anchor is on the chain and its block is not yet confirmed."
    promised = verification.bundle.receipt.receipt.anchor_by
    return f"The run is not anchored in this file; the node promised it by {moment(promised)}."


def _print_run(out: Console, bundle: Bundle) -> None:
    lines = {
        "job": prefixed(bundle.receipt.receipt.job),
        "node": prefixed(bundle.node),
        "asked": excerpt(question(bundle), EXCERPT),
        "answered": excerpt(answer(bundle), EXCERPT),
    }
    if closed(bundle):
        lines |= {"opened": excerpt(opened(bundle), EXCERPT), "closed": excerpt(closed(bundle), EXCERPT)}
    for label, value in lines.items():
        out.print(Text(f"  {label:<9} ", style="dim").append(value, style="default"), soft_wrap=True)


def _describe_run(bundle: Bundle) -> dict[str, object]:
    receipt = bundle.receipt.receipt
    return {
        "job": prefixed(receipt.job),
        "client": prefixed(bundle.job.job.client),
        "node": prefixed(bundle.node),
        "model": prefixed(bundle.job.job.model),
        "index": receipt.index,
        "anchor_by": receipt.anchor_by,
        "anchor": _describe_anchor(bundle),
        "opened": describe_opening(bundle),
    }


def _describe_anchor(bundle: Bundle) -> dict[str, object] | None:
    if bundle.inclusion is None:
        return None
    anchor = bundle.inclusion.anchor
    return {"size": anchor.size, "block": anchor.block, "transaction": prefixed(anchor.transaction)}


def _print_list(out: Console, title: str, items: list[str]) -> None:
    out.print(title)
    for item in items:
        out.print(Text(fill(item, width=out.width, initial_indent="  - ", subsequent_indent="    ")))
