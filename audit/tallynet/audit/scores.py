"""Raw scores of replayed runs, one row each, and the thresholds that follow from those of honest ones."""

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tallynet.audit.judgement import (
    DISTANCE_MOST,
    FAIL_CHANCE,
    LOGPROB_MOST,
    MARGIN_MOST,
    SUSPECT_CHANCE,
    Verdict,
    winsorised_mean,
)
from tallynet.audit.tails import binomial_tail, upper_bound
from tallynet.audit.thresholds import EVEN, Bound, Thresholds
from tallynet.engine.observation import Claim, Observation

RATE_CONFIDENCE = 0.999
SUSPECT_QUANTILE = 0.99
SAFETY = 3.0
"""Nothing FAILs within so many times the largest honest value: some prompts are noisier than all that were tried."""
LEAST_RATE = 1e-3
LEAST_SPREADS = {True: (0.01, 0.01, 0.01), False: (0.04, 0.08, 0.02)}
"""Of margins, logprobs and sketches, where both sides count in float32 and where not. Where hardly anything differs on
one machine, another may still sum in another order, and noise belongs to prompts more than to tokens."""
LEAST_SLACK = {True: 0.25, False: 1.0}
"""Logits, likewise; larger models have larger logits, and more noise."""


@dataclass(frozen=True, slots=True)
class Scores:
    """One run and its replay."""

    cell: str
    """What was run: `float32 sdpa 8 slots 1 threads`, or an attack."""
    prompt: int
    """Number of the prompt, by which runs are split."""
    tokens: int
    mismatches: int
    worst: float
    """Largest margin, in logits."""
    margin: float
    logprob: float
    sketch: float
    groups: int
    z: float
    """Largest of the alternatives'."""

    @classmethod
    def of(cls, cell: str, prompt: int, claim: Claim, seen: Observation) -> "Scores":
        apart = [abs(ours - theirs) for ours, theirs in zip(seen.logprobs, claim.logprobs, strict=False)]
        numbers = (
            max(seen.margins, default=0.0),
            winsorised_mean(seen.margins, MARGIN_MOST),
            winsorised_mean(apart, LOGPROB_MOST),
            winsorised_mean(seen.distances, DISTANCE_MOST),
        )
        worst, margin, logprob, sketch = (_short(number) for number in numbers)
        z = _short(max((pair.z for pair in seen.pairings), default=0.0))
        wrong = len(seen.matches) - sum(seen.matches)
        return cls(cell, prompt, len(seen.matches), wrong, worst, margin, logprob, sketch, len(seen.distances), z)

    def row(self) -> list[object]:
        """As it is kept in a file."""
        return [getattr(self, name) for name in COLUMNS]


COLUMNS = ("cell", "prompt", "tokens", "mismatches", "worst", "margin", "logprob", "sketch", "groups", "z")


Pairings = dict[str, tuple[int, int]]
"""By an alternative's name: how many tokens of honest runs it alone explains, and how many the claim alone."""


def count_pairings(sums: Pairings, prompt: int, seen: Observation) -> None:
    """Add a run to `sums`, if thresholds come from its prompt (`split`)."""
    for pair in seen.pairings if prompt % 2 == 0 else ():
        before = sums.get(pair.name, (0, 0))
        sums[pair.name] = (before[0] + pair.alternative_only, before[1] + pair.claim_only)


def fit(honest: Sequence[Scores], pairings: Pairings, *, both_float32: bool) -> Thresholds:
    """The thresholds of one pair from its honest runs."""
    margin, logprob, sketch = LEAST_SPREADS[both_float32]
    return Thresholds(
        mismatches=_rate(honest),
        slack=max(LEAST_SLACK[both_float32], SAFETY * max(one.worst for one in honest)),
        margin=_bound(honest, lambda one: one.margin, lambda one: one.tokens, margin),
        logprob=_bound(honest, lambda one: one.logprob, lambda one: one.tokens, logprob),
        sketch=_bound([one for one in honest if one.groups], lambda one: one.sketch, lambda one: one.groups, sketch),
        alternatives={name: _share(*counts) for name, counts in sorted(pairings.items())},
    )


def verdict(one: Scores, limits: Thresholds) -> Verdict:
    """By checks (3), (4), (5), (7) and (8) of a replay, as far as scores tell: all that weigh float noise."""
    chance = binomial_tail(one.mismatches, one.tokens, limits.mismatches)
    means = (
        (one.margin, limits.margin.limits(one.tokens)),
        (one.logprob, limits.logprob.limits(one.tokens)),
        (one.sketch, limits.sketch.limits(max(1, one.groups))),
    )
    if chance < FAIL_CHANCE or one.worst > limits.slack or any(mean > fail for mean, (_, fail) in means):
        return Verdict.FAIL
    doubtful = chance < SUSPECT_CHANCE or any(mean > suspect for mean, (suspect, _) in means)
    return Verdict.SUSPECT if doubtful else Verdict.PASS


def split(scores: Iterable[Scores]) -> tuple[list[Scores], list[Scores]]:
    """By prompt: those that thresholds come from, and those held out."""
    known = list(scores)
    return [one for one in known if one.prompt % 2 == 0], [one for one in known if one.prompt % 2]


def area(honest: Sequence[float], attack: Sequence[float]) -> float:
    """Area under the ROC curve: the chance that an attack scores higher than an honest run; ties count half."""
    wins = sum((bad > good) + 0.5 * (bad == good) for bad in attack for good in honest)
    return wins / (len(honest) * len(attack))


def power(honest: Sequence[float], attack: Sequence[float], false_alarms: float) -> float:
    """The part of attacks above the honest quantile that leaves `false_alarms`."""
    threshold = quantile(honest, 1 - false_alarms)
    return sum(score > threshold for score in attack) / len(attack)


def quantile(values: Sequence[float], part: float) -> float:
    """The smallest of the values that at least this part of them does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, math.ceil(part * len(ordered)) - 1))]


def _rate(honest: Sequence[Scores]) -> float:
    """SAFETY times what the rate may be at most, at RATE_CONFIDENCE."""
    wrong, tokens = sum(one.mismatches for one in honest), sum(one.tokens for one in honest)
    return round(max(LEAST_RATE, SAFETY * upper_bound(wrong, tokens, RATE_CONFIDENCE)), 5)


def _share(alternative_only: int, claim_only: int) -> float:
    """What an alternative's part may be at most, at RATE_CONFIDENCE, and never more than a half. No SAFETY: where noise
    is larger than was measured, it lets the claim and the alternative explain more tokens each."""
    differing = alternative_only + claim_only
    return round(min(EVEN, upper_bound(alternative_only, differing, RATE_CONFIDENCE)), 5) if differing else EVEN


def _bound(
    honest: Sequence[Scores], mean: Callable[[Scores], float], count: Callable[[Scores], int], least: float
) -> Bound:
    if not honest:
        return Bound(0.0, least, SAFETY * least)
    centre = statistics.median(mean(one) for one in honest)
    spreads = [(mean(one) - centre) * math.sqrt(count(one)) for one in honest]
    suspect = max(least, quantile(spreads, SUSPECT_QUANTILE))
    return Bound(_short(centre), _short(suspect), _short(SAFETY * max(suspect, *spreads)))


def _short(number: float) -> float:
    return float(f"{number:.4g}")
