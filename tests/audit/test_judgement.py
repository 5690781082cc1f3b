"""The verdict on a replay: an honest run passes, and each thing that is off is named by its check."""

from dataclasses import replace

import msgspec
import pytest

from tallynet.audit.judgement import Ending, Judgement, Verdict, judge
from tallynet.audit.thresholds import Bound, Thresholds
from tallynet.engine.evidence import SKETCH_ENTRIES, Record
from tallynet.engine.observation import Claim, Observation, Pairing
from tallynet.protocol.job import MILLION, Sampling
from tallynet.protocol.units import Digest

TOKENS = 256
SEED = Digest(bytes(32))
BOUND = Bound(0.01, 0.04, 0.08)
THRESHOLDS = Thresholds(0.01, 1.0, Bound(0.0, 0.04, 0.1), BOUND, BOUND)
RECORD = Record(0.5, 1, (1,) * SKETCH_ENTRIES, SEED)
CLAIM = Claim((1,), Sampling(TOKENS, MILLION), SEED, (2,) * TOKENS, (-1.0,) * TOKENS, (RECORD,) * 16)
SEEN = Observation(
    (True,) * TOKENS, (0.0,) * TOKENS, (), (-1.0,) * TOKENS, (0.01,) * 16, (Pairing("greedy", 0, 40),), 16, 16
)
ENDING = Ending("length", "length", True, 0, True, True)


def verdict_on(seen: Observation = SEEN, claim: Claim = CLAIM, ending: Ending | None = ENDING) -> Judgement:
    return judge(claim, seen, THRESHOLDS, ending, same_place=True)


def failing(judgement: Judgement) -> set[tuple[int, Verdict]]:
    return {(check.number, check.verdict) for check in judgement.checks if check.verdict is not Verdict.PASS}


def test_honest_run_passes_every_check_and_nothing_is_left_open() -> None:
    judgement = verdict_on()

    assert judgement.verdict is Verdict.PASS
    assert [check.number for check in judgement.checks] == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert judgement.not_checked == ()


@pytest.mark.parametrize(
    ("ending", "check"),
    [
        (replace(ENDING, same_prompt=False), 1),
        (replace(ENDING, retold=""), 2),
        (replace(ENDING, retold="eos", early=3), 2),
        (replace(ENDING, claimed="eos"), 2),
        (replace(ENDING, same_text=False), 2),
        (replace(ENDING, claimed="deadline", finished=False, retold="eos", early=1), 2),
    ],
)
def test_wrong_prompt_or_ending_fails(ending: Ending, check: int) -> None:
    assert failing(verdict_on(ending=ending)) == {(check, Verdict.FAIL)}


def test_run_that_was_cut_short_need_not_come_to_an_end() -> None:
    assert verdict_on(ending=Ending("deadline", "", False, 0, True, True)).verdict is Verdict.PASS


@pytest.mark.parametrize(("wrong", "expected"), [(4, set()), (9, {(3, Verdict.SUSPECT)}), (40, {(3, Verdict.FAIL)})])
def test_many_wrong_tokens_are_rarer_than_honest_noise(wrong: int, expected: set[tuple[int, Verdict]]) -> None:
    matches = (False,) * wrong + (True,) * (TOKENS - wrong)

    assert failing(verdict_on(replace(SEEN, matches=matches))) == expected


def test_one_token_too_far_fails() -> None:
    assert failing(verdict_on(replace(SEEN, margins=(1.01, *SEEN.margins[1:])))) == {(4, Verdict.FAIL)}
    assert not failing(verdict_on(replace(SEEN, margins=(0.3, *SEEN.margins[1:]))))


def test_token_outside_the_filter_fails_whatever_its_margin() -> None:
    assert failing(verdict_on(replace(SEEN, outside=(7,)))) == {(4, Verdict.FAIL)}


@pytest.mark.parametrize(("margin", "verdict"), [(0.003, Verdict.SUSPECT), (0.01, Verdict.FAIL)])
def test_small_margins_everywhere_add_up(margin: float, verdict: Verdict) -> None:
    assert failing(verdict_on(replace(SEEN, margins=(margin,) * TOKENS))) == {(5, verdict)}


@pytest.mark.parametrize(("only", "verdict"), [(14, Verdict.SUSPECT), (30, Verdict.FAIL)])
def test_alternative_that_explains_more_is_named(only: int, verdict: Verdict) -> None:
    seen = replace(SEEN, pairings=(Pairing("greedy", 0, 40), Pairing("temperature x1.1", only, 0)))

    assert failing(verdict_on(seen)) == {(6, verdict)}
    assert "temperature x1.1" in verdict_on(seen).reason


@pytest.mark.parametrize(("apart", "verdict"), [(0.0135, Verdict.SUSPECT), (0.1, Verdict.FAIL)])
def test_other_logprobs_are_found(apart: float, verdict: Verdict) -> None:
    assert failing(verdict_on(replace(SEEN, logprobs=(-1.0 - apart,) * TOKENS))) == {(7, verdict)}


@pytest.mark.parametrize(
    ("distance", "verdict"), [(0.025, Verdict.SUSPECT), (0.1, Verdict.FAIL), (float("nan"), Verdict.FAIL)]
)
def test_distant_sketches_are_found(distance: float, verdict: Verdict) -> None:
    assert failing(verdict_on(replace(SEEN, distances=(distance,) * 16))) == {(8, verdict)}


def test_missing_record_fails() -> None:
    assert failing(verdict_on(claim=replace(CLAIM, records=CLAIM.records[1:]))) == {(8, Verdict.FAIL)}


def test_other_bits_in_the_same_place_are_suspect() -> None:
    assert failing(verdict_on(replace(SEEN, exact_groups=15))) == {(9, Verdict.SUSPECT)}


def test_what_was_not_looked_at_is_said() -> None:
    bare = judge(replace(CLAIM, records=()), replace(SEEN, distances=()), THRESHOLDS)
    prefix = judge(CLAIM, replace(SEEN, matches=SEEN.matches[:16]), THRESHOLDS, ENDING)

    assert any("no evidence" in said for said in bare.not_checked)
    assert any("ended" in said for said in bare.not_checked)
    assert any(said.startswith("240 tokens") for said in prefix.not_checked)
    assert any("bit by bit" in said for said in prefix.not_checked)


def test_an_alternative_that_honest_runs_seldom_favour_is_named_sooner() -> None:
    seen = replace(SEEN, pairings=(Pairing("temperature x1.1", 8, 0), Pairing("greedy", 0, 40)))
    measured = msgspec.structs.replace(THRESHOLDS, alternatives={"temperature x1.1": 0.1})

    assert judge(CLAIM, seen, THRESHOLDS).verdict is Verdict.SUSPECT
    assert judge(CLAIM, seen, measured).verdict is Verdict.FAIL
    assert "temperature x1.1 alone explains 8 tokens" in judge(CLAIM, seen, measured).reason
