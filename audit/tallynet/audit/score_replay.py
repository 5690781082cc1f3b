"""(6) A score made again: are these the tokens of this text, and are these logprobs the model's?

Source: spec chapter 6, "Replay of scores".
"""

from collections.abc import Callable, Iterator, Sequence

from tallynet.audit.judgement import (
    DISTANCE_MOST,
    LOGPROB_MOST,
    Check,
    Judgement,
    Verdict,
    check_mean,
    exact_check,
)
from tallynet.audit.thresholds import Thresholds
from tallynet.engine.evidence import group_count, read_records
from tallynet.engine.replay import Replayer
from tallynet.engine.rescoring import Rescorer, ScoreClaim, ScoreSeen
from tallynet.protocol.bundle import Bundle
from tallynet.protocol.bundle_openings import Whole
from tallynet.protocol.commitment import seed
from tallynet.protocol.errors import InvalidBundle, InvalidChunk, InvalidJob, Misconfigured
from tallynet.protocol.leaf import Leaf
from tallynet.protocol.request import decode_request
from tallynet.protocol.score import decode_score, read_marks
from tallynet.protocol.units import TokenIds

Say = Callable[[str], None]

WITHIN_NOISE = "whether differences within float noise hide a smaller change of the model"
ELSEWHERE = "numbers bit by bit: the node's environment is not this one, not known, or it was not asked for"
NO_EVIDENCE = "hidden states: the run carries no evidence of them"
CUT_SHORT = "the rest of the text: the answer was cut short"


def replay_score(
    replayer: Replayer,
    bundle: Bundle,
    thresholds: Thresholds,
    threads: int | None,
    notes: Sequence[str],
    say: Say,
) -> Judgement:
    """Make the score of a bundle again; `threads` are the node's where its environment is this one, else None.

    Raises `Misconfigured` for a bundle that is not open, `InvalidBundle` for an answer that is no score of this model.
    """
    opening, whole = bundle.opening, Leaf.unpack(bundle.receipt.leaf).status.finished
    if not isinstance(opening, Whole):
        raise Misconfigured(
            "The bundle does not open the whole run: a replay needs its text and every token.",
            remedy="Take the file that the client saved itself.",
        )
    claim, rescorer = read_claim(bundle, opening, whole), Rescorer(replayer)
    asked = _tokens_of(opening.request, replayer)
    checks = [_check_tokens(claim, asked, whole)]
    if claim.scored:
        seen = _observe(rescorer, claim, threads, say)
        checks += [_check_texts(claim, rescorer, whole), *_check_numbers(claim, seen, thresholds)]
        checks += [*_check_sketches(claim, seen, thresholds, whole), *_check_bits(claim, seen, threads)]
    open_questions = (*_not_checked(claim, threads, whole), *notes)
    passed = f"{len(claim.scored)} logprobs are the model's, up to float noise."
    return Judgement(tuple(checks), len(claim.scored), open_questions, passed)


def read_claim(bundle: Bundle, opening: Whole, whole: bool) -> ScoreClaim:
    """What the node says about the text. Raises `InvalidBundle` for an answer that is no score."""
    try:
        scored, after = decode_score(decode_request(opening.request), opening.prompt, opening.chunks, whole=whole)
        records = read_records(b"".join(read_marks(body).records for body in opening.chunks))
    except (InvalidChunk, ValueError) as error:
        raise InvalidBundle(f"its answer is no score: {error}", check=7) from error
    return ScoreClaim(opening.prompt, seed(bundle.receipt.receipt.job), scored, after, records)


def _tokens_of(request: bytes, replayer: Replayer) -> TokenIds:
    """Empty for a request that the model does not take: no honest node ran it."""
    try:
        return replayer.encode(decode_request(request))
    except InvalidJob:
        return ()


def _observe(rescorer: Rescorer, claim: ScoreClaim, threads: int | None, say: Say) -> ScoreSeen:
    """Raises `InvalidBundle` for a text that no such model takes: that is its node's fault, not ours."""
    try:
        return rescorer.observe(claim, threads, lambda done, of: say(f"token {done} of {of}…"))
    except Misconfigured as error:
        raise InvalidBundle(error.message, check=6) from error


def _check_tokens(claim: ScoreClaim, asked: TokenIds, whole: bool) -> Check:
    told = (*claim.prompt, *claim.tokens)
    # (1) the tokens are the request's, all of them where the answer is whole
    good = len(claim.prompt) == 1 and told == (asked if whole else asked[: len(told)])
    return exact_check(1, "tokens", good, "the tokens are the request's" if good else "other tokens were scored")


def _check_texts(claim: ScoreClaim, rescorer: Rescorer, whole: bool) -> Check:
    scored, after = rescorer.retell(claim)
    # (2) the texts beside them are those of the tokens
    # (the last text of an answer that was cut short may be half a character's)
    good = (scored, after) == (claim.scored, claim.after) if whole else scored[:-1] == claim.scored[:-1]
    return exact_check(2, "texts", good, "their texts are the tokens'" if good else "their texts are not the tokens'")


def _check_numbers(claim: ScoreClaim, seen: ScoreSeen, thresholds: Thresholds) -> Iterator[Check]:
    # (3) the logprobs are the model's, on average
    yield check_mean(3, "logprobs", seen.apart, LOGPROB_MOST, thresholds.logprob, "nats apart, on average")
    farthest = max((*seen.apart, *seen.likely_apart))
    # (4) no single logprob is further from the model's than float noise reaches
    yield _within(4, "farthest", farthest, thresholds.slack, f"the farthest logprob is {farthest:.3g} nats off")
    if seen.missed:
        worst = max(seen.missed)
        # (5) no likelier token was left out than float noise explains
        yield _within(5, "likeliest", worst, thresholds.slack, f"a token left out is {worst:.3g} logits above one told")


def _check_sketches(claim: ScoreClaim, seen: ScoreSeen, thresholds: Thresholds, whole: bool) -> Iterator[Check]:
    groups = group_count(len(claim.scored))
    # (6) there is a record for every group, and its sketch is that of the model's hidden states
    if whole and claim.records and len(claim.records) != groups:
        yield exact_check(6, "sketch", False, f"{len(claim.records)} records for {groups} groups of tokens")
    elif seen.distances:
        what = "of its size apart, on average"
        yield check_mean(6, "sketch", seen.distances, DISTANCE_MOST, thresholds.sketch, what)


def _check_bits(claim: ScoreClaim, seen: ScoreSeen, threads: int | None) -> Iterator[Check]:
    if threads is None:
        return
    tokens, groups = len(claim.scored), len(seen.distances)
    missing = tokens - seen.same_logprobs + groups - seen.same_groups
    # (7) where the node's environment is the auditor's, logprobs and hidden states are the same bit by bit
    says = f"{seen.same_logprobs} of {tokens} logprobs and {seen.same_groups} of {groups} groups are the very same"
    verdict = Verdict.SUSPECT if missing else Verdict.PASS
    yield Check(7, "exact", verdict, float(missing), 1.0, float("inf"), says)


def _not_checked(claim: ScoreClaim, threads: int | None, whole: bool) -> Iterator[str]:
    yield WITHIN_NOISE
    if not claim.records:
        yield NO_EVIDENCE
    if threads is None:
        yield ELSEWHERE
    if not whole:
        yield CUT_SHORT


def _within(number: int, name: str, value: float, most: float, says: str) -> Check:
    # written so that a number that is none fails
    verdict = Verdict.PASS if value <= most else Verdict.FAIL
    return Check(number, name, verdict, value, most, most, f"{says}; float noise reaches {most:g}")
