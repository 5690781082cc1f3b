"""How an explanation is told: to people in 80 columns, to programs as one JSON object."""

from textwrap import fill

from rich.console import Console
from rich.text import Text

from tallynet.audit.claims import level
from tallynet.audit.conversation import describe_opening, excerpt
from tallynet.audit.explanation import Explanation
from tallynet.audit.report import COLOURS
from tallynet.audit.verify import Verification

EXCERPT = 600
"""Characters of question and answer shown."""


def print_explanation(out: Console, told: Explanation, verification: Verification, trust: str) -> None:
    """`trust` is whose word was taken."""
    out.print(Text(fill(told.summary, out.width), style=COLOURS[verification.verdict]))
    if told.asked or told.answered:
        _title(out, "What was said")
        _labelled(out, "asked", excerpt(told.asked, EXCERPT))
        _labelled(out, "answered", excerpt(told.answered, EXCERPT))
    if told.proven:
        _title(out, "What is proven")
        for number, point in enumerate(told.proven, 1):
            _paragraph(out, f"{number}. {point.title} {point.words}", hang=3)
    if told.parties:
        _title(out, "By whom")
        for role, name in told.parties:
            _labelled(out, role, name)
        _labelled(out, "trusted", trust)
    if told.not_proven:
        _title(out, "What is NOT proven")
        for sentence in told.not_proven:
            _paragraph(out, f"- {sentence}", hang=2)
    _title(out, "What you can do")
    for sentence in told.next_steps:
        _paragraph(out, f"- {sentence}", hang=2)


def describe_explanation(told: Explanation, verification: Verification, trust: str) -> dict[str, object]:
    """The JSON object of `tallynet audit explain`."""
    failure, bundle = verification.failure, verification.bundle
    return {
        "verdict": verification.verdict,
        "level": level(verification),
        "failed_check": failure.check if failure else None,
        "summary": told.summary,
        "asked": told.asked or None,
        "answered": told.answered or None,
        "proven": [{"title": point.title, "words": point.words} for point in told.proven],
        "parties": dict(told.parties),
        "not_proven": list(told.not_proven),
        "next_steps": list(told.next_steps),
        "opened": describe_opening(bundle) if bundle else None,
        "trusted": trust,
    }


def _title(out: Console, words: str) -> None:
    out.print(Text(f"\n{words}", style="bold"))


def _labelled(out: Console, label: str, value: str) -> None:
    _paragraph(out, f"{label:<9} {value}", hang=10)


def _paragraph(out: Console, words: str, *, hang: int) -> None:
    """Indented by two, its further lines by `hang` more."""
    text = fill(words, out.width, initial_indent="  ", subsequent_indent="  " + " " * hang, break_on_hyphens=False)
    out.print(Text(text), soft_wrap=True)
