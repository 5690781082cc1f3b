"""A run made again: an honest one matches, and what is altered shows where it was altered."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch

from tallynet.engine import Finish, Generation, replay, scoring
from tallynet.engine.hardware import choose_hardware
from tallynet.engine.noise import gumbel
from tallynet.engine.observation import Claim, alternatives, next_seed
from tallynet.engine.philox import noise_key
from tallynet.engine.rehearsal import rehearse, teach
from tallynet.engine.replay import Replayer
from tallynet.engine.sampler import Draw, sample
from tallynet.engine.scoring import Candidates
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.job import MILLION, Sampling
from tests.engine.conftest import Directory
from tests.engine.generations import PROMPT, seed

SLACK = 0.25
Opened = Callable[[str], Replayer]
SAMPLINGS = (
    Sampling(40),
    Sampling(40, MILLION),
    Sampling(40, MILLION, top_k=20),
    Sampling(40, 700_000, top_p_millionths=900_000),
    Sampling(40, 1_300_000, 100, 950_000),
)


@pytest.fixture(scope="session")
def replayer(checkpoint: Directory) -> Opened:
    return cache(lambda family: Replayer(checkpoint(family), choose_hardware("cpu", "float32")))


def honest(replayer: Replayer, sampling: Sampling = SAMPLINGS[1], number: int = 1) -> Claim:
    (claim,) = rehearse(replayer.model, replayer.ends, [Generation(PROMPT, sampling, seed(number))])
    return claim


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=str)
@pytest.mark.parametrize("family", ["gpt2", "llama", "qwen2"])
def test_honest_run_matches_in_every_token(replayer: Opened, family: str, sampling: Sampling) -> None:
    claim = honest(replayer(family), sampling)

    seen = replayer(family).observe(claim, slack=SLACK)
    assert all(seen.matches) and not any(seen.margins) and not seen.outside
    assert seen.logprobs == pytest.approx(claim.logprobs, abs=1e-4)
    assert max(seen.distances) < 0.02
    assert all(pair.alternative_only == 0 for pair in seen.pairings)


@pytest.mark.parametrize("budget", [1, 384 * 7, 384 * 16])
def test_blocks_of_positions_change_nothing(replayer: Opened, budget: int, monkeypatch: pytest.MonkeyPatch) -> None:
    claim = honest(replayer("llama"))
    whole = replayer("llama").observe(claim, slack=SLACK)
    monkeypatch.setattr(replay, "LOGITS_BUDGET", budget)

    parts = replayer("llama").observe(claim, slack=SLACK)
    assert (parts.matches, parts.outside, parts.pairings) == (whole.matches, whole.outside, whole.pairings)
    assert parts.logprobs == pytest.approx(whole.logprobs, abs=1e-4)
    assert parts.distances == pytest.approx(whole.distances, abs=1e-3)


def test_prefix_is_judged_alone(replayer: Opened) -> None:
    claim = honest(replayer("llama"))

    seen = replayer("llama").observe(claim, slack=SLACK, first=20)
    assert len(seen.matches) == 20 and len(seen.distances) == 1


def test_changed_token_is_the_one_that_does_not_match(replayer: Opened) -> None:
    claim = honest(replayer("llama"))
    changed = replace(claim, tokens=(*claim.tokens[:-1], (claim.tokens[-1] + 1) % 384))

    seen = replayer("llama").observe(changed, slack=SLACK)
    assert seen.matches.count(False) == 1 and not seen.matches[-1]


def test_token_outside_the_filter_is_told(replayer: Opened) -> None:
    claim = honest(replayer("llama"), Sampling(40, MILLION))
    told = replace(claim, sampling=Sampling(40, MILLION, top_k=1))

    seen = replayer("llama").observe(told, slack=0.0)
    greedy = replayer("llama").observe(replace(claim, sampling=Sampling(40)), slack=0.0)
    assert seen.outside == greedy.outside and seen.outside


def test_other_seed_matches_seldom_and_is_named(replayer: Opened) -> None:
    claim = honest(replayer("llama"))
    told = replace(claim, seed=seed(0))  # the claim's own is the next one

    seen = replayer("llama").observe(told, slack=SLACK)
    best = max(seen.pairings, key=lambda pair: pair.z)
    assert next_seed(seed(0)) == claim.seed
    assert best.name == "the next seed" and best.z > 3
    assert min(seen.distances) > 0.5


def test_every_alternative_differs_from_the_claim() -> None:
    for sampling in SAMPLINGS:
        claim = Claim(PROMPT, sampling, seed(1), (), ())
        assert all((other.sampling, other.seed) != (sampling, claim.seed) for other in alternatives(claim))


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
def test_hidden_states_of_a_run_alone_are_found_again_bit_by_bit(replayer: Opened) -> None:
    claim = honest(replayer("llama"))

    assert replayer("llama").count_exact(claim, 1) == (len(claim.records), len(claim.records))


@pytest.mark.usefixtures("one_thread")
def test_other_hidden_states_are_not(replayer: Opened) -> None:
    claim = honest(replayer("llama"))
    altered = replace(claim.records[1], exact=seed(5))
    told = replace(claim, records=(claim.records[0], altered, *claim.records[2:]))

    assert replayer("llama").count_exact(told, 1) == (1, len(claim.records))


def test_prefill_measures_what_decoding_measured(replayer: Opened) -> None:
    claim = honest(replayer("llama"))

    records, logprobs = teach(replayer("llama").model, claim)
    seen = replayer("llama").observe(replace(claim, records=records), slack=SLACK)
    assert max(seen.distances) < 0.02
    assert logprobs == pytest.approx(claim.logprobs, abs=1e-4)


def test_shared_steps_give_the_same_tokens(replayer: Opened) -> None:
    model = replayer("llama")
    asked = [Generation(PROMPT[:length], Sampling(30, MILLION), seed(length)) for length in range(1, 8)]

    alone, together = (rehearse(model.model, model.ends, asked, slots=slots) for slots in (1, 4))
    assert [claim.tokens for claim in alone] == [claim.tokens for claim in together]


def test_answer_is_retold_from_its_tokens(replayer: Opened) -> None:
    model, claim = replayer("llama"), honest(replayer("llama"))

    told = model.retell(claim)
    assert (told.finish, told.left) == (Finish.LENGTH, 0)
    assert model.retell(replace(claim, tokens=claim.tokens[:-1])).finish is None
    end = min(model.ends)
    ended = model.retell(replace(claim, tokens=(*claim.tokens[:5], end, *claim.tokens[5:])))
    assert (ended.finish, ended.left) == (Finish.EOS, len(claim.tokens) - 5)


def test_tokens_of_another_vocabulary_are_refused(replayer: Opened) -> None:
    claim = replace(honest(replayer("llama")), tokens=(1, 384), logprobs=(0.0, 0.0))

    with pytest.raises(Misconfigured, match="384 tokens"):
        replayer("llama").observe(claim, slack=SLACK)


def test_model_of_another_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured):
        Replayer(tmp_path, choose_hardware("cpu", "float32"))


# Candidates against the sampler itself


@pytest.mark.parametrize("sampling", SAMPLINGS[1:], ids=str)
@pytest.mark.parametrize("flatness", [0.1, 1.0, 5.0])
def test_what_the_sampler_chooses_matches_and_nothing_likelier_does(sampling: Sampling, flatness: float) -> None:
    logits = flatness * torch.randn(64, 500, generator=torch.Generator().manual_seed(3))
    key = noise_key(seed(3))
    chosen = [sample(row, Draw(sampling, key, at + 7)).token for at, row in enumerate(logits)]

    assert Candidates(logits, chosen, 7, max(64, sampling.top_k)).score(sampling, seed(3)).matches.all()
    assert not Candidates(logits, chosen, 7, 100).outside(sampling, 0.0).any()
    likeliest = logits.argmax(dim=1)
    others = Candidates(logits, likeliest.tolist(), 7, 500).score(sampling, seed(3)).matches
    assert (others == (likeliest == torch.tensor(chosen))).all()


def test_margin_is_the_missing_score_in_logits() -> None:
    logits = torch.randn(1, 50, generator=torch.Generator().manual_seed(1))
    keys = torch.tensor(noise_key(seed(2)))[:, None]
    scores = logits[0].double() + 2 * gumbel(keys, torch.arange(50), torch.tensor([4]))

    found = Candidates(logits, [10], 4).score(Sampling(1, 2 * MILLION), seed(2))
    assert float(found.margins[0]) == pytest.approx(float(scores.max() - scores[10]))


def test_a_token_behind_the_edge_is_as_far_as_the_odds_are() -> None:
    """Its logit lies 3 below the only token that is left, but its neighbour's probability is hardly too large."""
    logits = torch.tensor([[5.0, 2.0, -9.0]])
    mass = float(logits.softmax(dim=1)[0, 0])
    odds = mass / (1 - mass)
    limit = odds * math.exp(-0.1) / (1 + odds * math.exp(-0.1))

    candidates = Candidates(logits, [1], 0)
    chosen = next(number for number in range(200) if candidates.score(Sampling(1, MILLION), seed(number)).matches[0])

    found = candidates.score(Sampling(1, MILLION, top_p_millionths=round(limit * MILLION)), seed(chosen))
    assert not found.matches[0]
    assert float(found.margins[0]) == pytest.approx(0.1, abs=1e-3)


def test_slack_lets_a_token_at_the_edge_of_the_filter_in() -> None:
    logits = torch.tensor([[5.0, 4.9, 0.0]])
    second = Candidates(logits, [1], 0)

    assert second.outside(Sampling(1, MILLION, top_k=1), 0.05).all()
    assert not second.outside(Sampling(1, MILLION, top_k=1), 0.2).any()
    assert Candidates(logits, [2], 0).outside(Sampling(1, MILLION, top_p_millionths=900_000), 0.2).all()


@pytest.mark.parametrize("sampling", SAMPLINGS[1:], ids=str)
@pytest.mark.parametrize("width", [64, 400])
def test_a_choice_from_logits_within_the_slack_has_a_margin_below_it(sampling: Sampling, width: int) -> None:
    """Whatever such logits filter out, no rival at the filter's edge makes a choice of theirs look impossible."""
    random = torch.Generator().manual_seed(9)
    ours, slack = torch.randn(400, 400, generator=random) * 2, 0.3
    theirs = ours + slack * (torch.rand(400, 400, generator=random) - 0.5)
    key = noise_key(seed(3))
    chosen = [sample(row, Draw(sampling, key, at)).token for at, row in enumerate(theirs)]
    candidates = Candidates(ours, chosen, 0, max(width, sampling.top_k))

    bare = candidates.score(sampling, seed(3))
    fair = candidates.score(sampling, seed(3), slack=slack)
    assert (fair.margins <= bare.margins).all() and (fair.matches == bare.matches).all()
    assert fair.margins.max() <= slack
    if sampling.top_p_millionths < MILLION:
        assert bare.margins.max() > slack


@pytest.mark.parametrize("size", [500, 4096, 8192, 50_000])
def test_candidates_are_the_largest(size: int) -> None:
    logits = torch.randn(8, size, generator=torch.Generator().manual_seed(size))

    found = scoring._largest(logits, 64).sort(dim=1).values
    assert (found == logits.topk(64, dim=1).indices.sort(dim=1).values).all()
