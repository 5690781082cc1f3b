"""(6) What a sample allows to say: exact binomial bounds, and nothing about runs that could not have been drawn.

Runs are drawn without replacement and the bounds are those of drawing with: they are never too narrow.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from tallynet.audit.judgement import Verdict
from tallynet.audit.sample_file import Outcome, SampledRun, SampleReport
from tallynet.audit.tails import lower_bound, upper_bound
from tallynet.protocol.job import MILLION


class Standing(StrEnum):
    """How a node comes out of it."""

    GOOD = "good"
    """No bad run was found among as many as were wanted."""
    OPEN = "open"
    """Too few runs could be judged, or some are suspect: nothing is proven either way."""
    BAD = "bad"
    """Bad runs were found."""


@dataclass(frozen=True, slots=True)
class Statement:
    """Rates of bad runs, in millionths, rounded away from the sample's own."""

    judged: int
    bad: int
    suspect: int
    unanswered: int
    at_most: int
    at_least: int


def state(runs: Sequence[SampledRun], confidence_millionths: int) -> Statement:
    """Counts and bounds; the upper one counts what was not answered as bad."""
    outcomes = [run.outcome for run in runs if run.outcome.judged]
    judged, bad = len(outcomes), sum(outcome.bad for outcome in outcomes)
    unanswered, confidence = outcomes.count(Outcome.UNANSWERED), confidence_millionths / MILLION
    at_most = math.ceil(MILLION * upper_bound(bad + unanswered, judged, confidence))
    at_least = math.floor(MILLION * lower_bound(bad, judged, confidence)) if bad else 0
    return Statement(judged, bad, outcomes.count(Outcome.SUSPECT), unanswered, min(MILLION, at_most), at_least)


def standing(report: SampleReport) -> Standing:
    """What a report says of its node."""
    stated = state(report.runs, report.confidence_millionths)
    if stated.bad or report.together is Verdict.FAIL:
        return Standing.BAD
    doubtful = stated.suspect or stated.unanswered or report.together is Verdict.SUSPECT
    return Standing.OPEN if doubtful or stated.judged < report.wanted else Standing.GOOD


def sentence(
    stated: Statement, together: Verdict, *, node: str, size: int, wanted: int, confidence_millionths: int
) -> str:
    """The outcome in words, with all that it does not cover."""
    about = f"of the runs of this model with consent up to entry {size - 1} are bad"
    sure = f"at {confidence_millionths / 10_000:g} % confidence"
    if stated.bad:
        return (
            f"Node {node}: {stated.bad} of {stated.judged} runs are bad; at least {_least(stated.at_least)} {about}, "
            f"{sure}."
        )
    if together is Verdict.FAIL:
        return f"Node {node}: no single run shows it, but together its {stated.judged} runs are not this model's."
    if not stated.judged:
        return "No run could be judged: nothing can be said."
    few = f" Only {stated.judged} of {wanted} runs could be judged." if stated.judged < wanted else ""
    unanswered = f" {stated.unanswered} were not answered." if stated.unanswered else ""
    suspect = f" {stated.suspect} are suspect: ask a second auditor." if stated.suspect else ""
    return f"At most {_most(stated.at_most)} {about}, {sure}.{few}{unanswered}{suspect}"


def _most(millionths: int) -> str:
    """Rounded up to hundredths of a percent."""
    return f"{math.ceil(millionths / 100) / 100:g} %"


def _least(millionths: int) -> str:
    """Rounded down."""
    return f"{millionths // 100 / 100:g} %"
