"""(6) Is this run what its model, seed and parameters yield? The verdict on a replay, every number beside its limits.

Checks (1), (2), (4) and (10) are exact or as good as; (3), (5) to (8) weigh float noise against thresholds that were
measured on honest runs. FAIL says that no honest run comes near; SUSPECT, that one in a hundred does: ask a second
auditor. Neither costs a stake by itself. Source: spec chapter 6, "Replay".
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tallynet.audit.tails import binomial_tail
from tallynet.audit.thresholds import EVEN, Bound, Thresholds
from tallynet.engine.evidence import group_count
from tallynet.engine.observation import Claim, Observation, Pairing, together

SUSPECT_CHANCE = 1e-2
FAIL_CHANCE = 1e-6
"""How rare an honest run would have to be."""

MARGIN_MOST, LOGPROB_MOST, DISTANCE_MOST = 0.5, 1.0, 2.0
"""Single values count for no more than this in a mean: one strange token decides nothing."""


class Verdict(StrEnum):
    PASS = "pass"
    SUSPECT = "suspect"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One check, its number and its limits."""

    number: int
    name: str
    verdict: Verdict
    value: float
    suspect: float
    """The value from which a run is suspect."""
    fail: float
    says: str


@dataclass(frozen=True, slots=True)
class Ending:
    """How the run ended and what it said, retold from its tokens and as claimed."""

    claimed: str
    """`eos`, `length`, `stop`, or why the run was cut short."""
    retold: str
    """The same words; empty where the tokens come to no end."""
    finished: bool
    """Whether the run claims to have come to its own end."""
    early: int
    """Tokens after the one that ended the answer."""
    same_text: bool
    """Whether the text is the tokens'."""
    same_prompt: bool | None
    """Whether the prompt is the request's under the model's own template; None where no request is known."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Everything that was found."""

    checks: tuple[Check, ...]
    tokens: int
    not_checked: tuple[str, ...]
    passed: str = ""
    """What a PASS means, where it is not that tokens follow."""

    @property
    def verdict(self) -> Verdict:
        found = {check.verdict for check in self.checks}
        return next((verdict for verdict in (Verdict.FAIL, Verdict.SUSPECT) if verdict in found), Verdict.PASS)

    @property
    def reason(self) -> str:
        """The first check that says so."""
        worst = next((check for check in self.checks if check.verdict is self.verdict), None)
        if self.verdict is Verdict.PASS or worst is None:
            return self.passed or f"{self.tokens} tokens follow from the model, the seed and the parameters."
        return f"({worst.number}) {worst.says}"


def judge(
    claim: Claim, seen: Observation, thresholds: Thresholds, ending: Ending | None = None, *, same_place: bool = False
) -> Judgement:
    """Weigh what a replay has `seen`. `same_place` says that the node's environment is the auditor's own."""
    checks = [*_check_ending(ending), *_check_tokens(seen, thresholds), *_check_evidence(claim, seen, thresholds)]
    checks += [*_check_exact(seen, same_place), *_check_schema(claim, seen)]
    checks.sort(key=lambda check: check.number)
    return Judgement(tuple(checks), len(seen.matches), tuple(_not_checked(claim, seen, ending, same_place)))


def judge_together(runs: Sequence[tuple[Claim, Observation]], thresholds: Thresholds) -> Judgement:
    """Weigh what replays of several runs of one node have seen as if it were one long run: checks (3) to (8)."""
    seen = together([one for _, one in runs])
    logprobs = [value for claim, one in runs for value in claim.logprobs[: len(one.matches)]]
    checks = [*_check_tokens(seen, thresholds), *_check_logprobs(logprobs, seen, thresholds)]
    checks += _check_sketches(seen, thresholds)
    return Judgement(tuple(checks), len(seen.matches), ("how the answers ended, and their texts",))


def _check_ending(ending: Ending | None) -> Iterator[Check]:
    if ending is None:
        return
    if ending.same_prompt is not None:
        # (1) the prompt is the request under the model's own template
        says = "the prompt is the request's" if ending.same_prompt else "the prompt is not that of the request"
        yield exact_check(1, "prompt", ending.same_prompt, says)
    # (2) the answer ends where and as the receipt says, and its text is that of its tokens
    at_end = ending.retold == ending.claimed if ending.finished else not ending.early
    good = at_end and not ending.early and ending.same_text
    yield exact_check(2, "ending", good, _tell_ending(ending))


def _tell_ending(ending: Ending) -> str:
    if ending.early:
        return f"{ending.early} tokens follow after the answer's end by {ending.retold}"
    if ending.finished and ending.retold != ending.claimed:
        return f"it claims to have ended by {ending.claimed}; its tokens end {ending.retold or 'nowhere'}"
    return f"it ended by {ending.claimed}" + ("" if ending.same_text else ", but its text is not that of its tokens")


def _check_tokens(seen: Observation, thresholds: Thresholds) -> Iterator[Check]:
    count = len(seen.matches)
    if not count:
        return
    # (3) the tokens are those that the rule chooses, but for as many as an honest run's float noise explains
    wrong = count - sum(seen.matches)
    chance = binomial_tail(wrong, count, thresholds.mismatches)
    yield _rare(3, "tokens", chance, f"{wrong} of {count} tokens are not what the rule chooses")
    # (4) no token is outside the filter, or further below the best than float noise reaches
    worst = max(seen.margins)
    good = not seen.outside and worst <= thresholds.slack
    at = seen.outside[0] if seen.outside else seen.margins.index(worst)
    how = "is outside the filter" if seen.outside else f"is {worst:.3g} logits below the best"
    said = f"the farthest token is {worst:.3g} logits below the best" if good else f"token {at} {how}"
    verdict = Verdict.PASS if good else Verdict.FAIL
    yield Check(4, "farthest token", verdict, worst, thresholds.slack, thresholds.slack, said)
    # (5) the tokens that the rule does not choose are near misses
    yield check_mean(5, "margin", seen.margins, MARGIN_MOST, thresholds.margin, "logits below the best, on average")
    # (6) no other temperature, filter or seed explains the tokens better
    if seen.pairings:
        best = min(seen.pairings, key=lambda pair: (_chance(pair, thresholds), -pair.z))
        chance = min(1.0, len(seen.pairings) * _chance(best, thresholds))
        said = f"{best.name} alone explains {best.alternative_only} tokens, the claim alone {best.claim_only}"
        yield _rare(6, "alternatives", chance, f"{said} (z = {best.z:.1f})")


def _check_evidence(claim: Claim, seen: Observation, thresholds: Thresholds) -> Iterator[Check]:
    yield from _check_logprobs(claim.logprobs, seen, thresholds)
    if not claim.records:
        return
    # (8) there is a record for every group, and its sketch is that of the model's hidden states
    if len(claim.records) != group_count(len(claim.tokens)):
        said = f"{len(claim.records)} records for {group_count(len(claim.tokens))} groups of tokens"
        yield exact_check(8, "sketch", False, said)
    else:
        yield from _check_sketches(seen, thresholds)


def _check_logprobs(claimed: Sequence[float], seen: Observation, thresholds: Thresholds) -> Iterator[Check]:
    if seen.matches:
        # (7) the logprobs are the model's
        apart = [abs(ours - theirs) for ours, theirs in zip(seen.logprobs, claimed, strict=False)]
        yield check_mean(7, "logprobs", apart, LOGPROB_MOST, thresholds.logprob, "nats apart, on average")


def _check_sketches(seen: Observation, thresholds: Thresholds) -> Iterator[Check]:
    if seen.distances:
        yield check_mean(8, "sketch", seen.distances, DISTANCE_MOST, thresholds.sketch, "of its size apart, on average")


def _check_exact(seen: Observation, same_place: bool) -> Iterator[Check]:
    if not same_place or not seen.exact_tried:
        return
    # (9) where the node ran alone on what the auditor has too, the hidden states are the same bit by bit
    good = seen.exact_groups == seen.exact_tried
    said = f"{seen.exact_groups} of {seen.exact_tried} groups have the very same hidden states"
    missing = float(seen.exact_tried - seen.exact_groups)
    verdict = Verdict.PASS if good else Verdict.SUSPECT
    yield Check(9, "exact", verdict, missing, 1.0, float("inf"), said)


def _check_schema(claim: Claim, seen: Observation) -> Iterator[Check]:
    if not claim.schema:
        return
    # (10) every token is one that the request's schema lets come next
    good = seen.barred is None
    said = "the tokens keep to the schema" if good else f"token {seen.barred} is none that the schema lets come next"
    yield exact_check(10, "schema", good, said)


def _not_checked(claim: Claim, seen: Observation, ending: Ending | None, same_place: bool) -> Iterator[str]:
    if ending is None:
        yield "how the answer ended, and its text"
    elif ending.same_prompt is None:
        yield "that the prompt is the request's"
    if not claim.records:
        yield "hidden states: the run carries no evidence of them"
    if len(seen.matches) < len(claim.tokens):
        yield f"{len(claim.tokens) - len(seen.matches)} tokens after the first {len(seen.matches)}"
    if claim.records and not same_place:
        yield "hidden states bit by bit: the node's environment is not this one, or not known"
    elif claim.records and not seen.exact_tried:
        yield "hidden states bit by bit: the run shared its steps with others, or it was not asked for"
    yield from seen.notes


def exact_check(number: int, name: str, good: bool, says: str) -> Check:
    return Check(number, name, Verdict.PASS if good else Verdict.FAIL, float(not good), 1.0, 1.0, says)


def _rare(number: int, name: str, chance: float, says: str) -> Check:
    verdict = Verdict.FAIL if chance < FAIL_CHANCE else Verdict.SUSPECT if chance < SUSPECT_CHANCE else Verdict.PASS
    told = f"{says}; an honest run's chance of that is at most {chance:.2g}"
    return Check(number, name, verdict, chance, SUSPECT_CHANCE, FAIL_CHANCE, told)


def check_mean(number: int, name: str, values: Sequence[float], most: float, bound: Bound, what: str) -> Check:
    mean = winsorised_mean(values, most)
    suspect, fail = bound.limits(max(1, len(values)))
    # written so that a number that is none fails
    verdict = Verdict.PASS if mean <= suspect else Verdict.SUSPECT if mean <= fail else Verdict.FAIL
    told = f"{mean:.3g} {what}; honest runs stay under {suspect:.3g}, and none comes near {fail:.3g}"
    return Check(number, name, verdict, mean, suspect, fail, told)


def winsorised_mean(values: Sequence[float], most: float) -> float:
    return sum(value if value <= most else most for value in values) / len(values) if values else 0.0


def _chance(pair: Pairing, thresholds: Thresholds) -> float:
    """That an honest run's noise explains so many tokens by the alternative alone."""
    part = thresholds.alternatives.get(pair.name, EVEN)
    return binomial_tail(pair.alternative_only, pair.alternative_only + pair.claim_only, part)
