"""How a verification is told: to people in 80 columns, to programs as one JSON object."""

from textwrap import fill

from rich.console import Console
from rich.text import Text

from tallynet.audit.claims import level, not_proven
from tallynet.audit.verify import Verdict, Verification
from tallynet.console.moments import moment
from tallynet.protocol.bundle import Bundle
from tallynet.protocol.bundle_checks import CheckResult, State
from tallynet.protocol.bundle_openings import opened_request, opened_text
from tallynet.protocol.errors import InvalidJob
from tallynet.protocol.request import decode_request
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
NOT_OPEN = "(not open in this file)"


def print_check(out: Console, result: CheckResult) -> None:
    """One line of a verification."""
    mark, colour = MARKS[result.state]
    line = Text(f"{f'({result.number})':>5} ").append(mark, style=colour)
    if result.state is State.FAILED:
        line.append(f" {result.name}", style=colour)
    else:
        line.append(f" {result.name:<{NAME_WIDTH}} ").append(result.detail, style="dim")
    out.print(line, soft_wrap=True)


def print_verification(out: Console, verification: Verification, trust: str, remark: str) -> None:
    """What follows the checks: the verdict, the run, what was trusted and what is not proven."""
    verdict = verification.verdict
    out.print(Text(f"\n{verdict.upper()} ", style=COLOURS[verdict]).append(conclusion(verification), style="default"))
    if verification.failure is not None:
        out.print(Text(verification.failure.remedy))
    elif verification.bundle is not None:
        _print_run(out, verification.bundle)
    if remark:
        out.print(Text(remark))
    _print_list(out, "Trusted:", [trust])
    if verification.failure is None:
        _print_list(out, "NOT proven:", list(not_proven(verification)))


def conclusion(verification: Verification) -> str:
    """One sentence on the whole; for a failure both values."""
    if verification.failure is not None:
        return f"at check {verification.failure}"
    if verification.verdict is Verdict.OK:
        return f"Every check that was made holds. Evidence level: {level(verification)}."
    return f"Nothing is wrong so far. {_waiting_for(verification)}"


def describe_verification(verification: Verification, trust: str, saved: bool) -> dict[str, object]:
    """The JSON object of `tallynet audit verify`."""
    failure, bundle = verification.failure, verification.bundle
    return {
        "verdict": verification.verdict,
        "level": level(verification),
        "reason": conclusion(verification),
        "failed_check": failure.check if failure else None,
        "checks": [
            {"number": found.number, "name": found.name, "state": found.state, "detail": found.detail}
            for found in verification.results
        ],
        "run": _describe_run(bundle) if bundle else None,
        "trusted": trust,
        "not_proven": [] if failure else list(not_proven(verification)),
        "upgraded": saved,
    }


def _waiting_for(verification: Verification) -> str:
    if verification.bundle is None or verification.state(9) is State.OK:
        return "The anchor is on the chain and its block is not yet confirmed."
    promised = verification.bundle.receipt.receipt.anchor_by
    return f"The run is not anchored in this file; the node promised it by {moment(promised)}."


def _print_run(out: Console, bundle: Bundle) -> None:
    for label, value in (
        ("job", prefixed(bundle.receipt.receipt.job)),
        ("node", prefixed(bundle.node)),
        ("asked", _excerpt(_question(bundle))),
        ("answered", _excerpt(_answer(bundle))),
    ):
        out.print(Text(f"  {label:<9} ", style="dim").append(value, style="default"), soft_wrap=True)


def _describe_run(bundle: Bundle) -> dict[str, object]:
    receipt, anchor = bundle.receipt.receipt, bundle.inclusion.anchor if bundle.inclusion else None
    return {
        "job": prefixed(receipt.job),
        "client": prefixed(bundle.job.job.client),
        "node": prefixed(bundle.node),
        "model": prefixed(bundle.job.job.model),
        "index": receipt.index,
        "anchor_by": receipt.anchor_by,
        "anchor": {"size": anchor.size, "block": anchor.block, "transaction": prefixed(anchor.transaction)}
        if anchor
        else None,
    }


def _question(bundle: Bundle) -> str:
    """What was asked last, as far as the request is open and can be read."""
    encoded = opened_request(bundle.opening)
    if encoded is None:
        return NOT_OPEN
    try:
        request = decode_request(encoded)
    except InvalidJob:
        return "(the request cannot be read)"
    return request.messages[-1].content if request.messages else request.text


def _answer(bundle: Bundle) -> str:
    text = opened_text(bundle.opening)
    return NOT_OPEN if text is None else text


def _excerpt(text: str) -> str:
    """One line that cannot steer the terminal."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text[: EXCERPT + 1])
    return plain if len(plain) <= EXCERPT else plain[:EXCERPT] + "…"


def _print_list(out: Console, title: str, items: list[str]) -> None:
    out.print(title)
    for item in items:
        out.print(Text(fill(item, width=out.width, initial_indent="  - ", subsequent_indent="    ")))
