"""Tokens from logits: the filters and ties as documented, the noise as a fair draw, rows without neighbours."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tallynet.engine.philox import noise_key
from tallynet.engine.sampler import NUCLEUS, Draw, sample, sample_rows, survivors
from tallynet.protocol.job import Sampling
from tests.engine.generations import MILLION, seed

LOGITS = torch.tensor([1.0, 3.0, 2.0, 3.0, -1.0, 0.0])


def draw(number: int = 0, position: int = 0, **settings: Any) -> Draw:
    return Draw(Sampling(1, **{"temperature_millionths": MILLION, **settings}), noise_key(seed(number)), position)


def kept(logits: Tensor, **settings: Any) -> list[int]:
    return survivors(logits, draw(**settings).sampling).tolist()


def test_temperature_zero_takes_the_lowest_of_the_largest() -> None:
    assert sample(LOGITS, draw(temperature_millionths=0)).token == 1


def test_temperature_zero_ignores_the_seed() -> None:
    tokens = {sample(LOGITS, draw(number, temperature_millionths=0)).token for number in range(20)}

    assert tokens == {1}


def test_logprob_is_of_the_unfiltered_distribution_at_temperature_one() -> None:
    choice = sample(LOGITS, draw(temperature_millionths=1, top_k=1))

    assert choice.logprob == pytest.approx(float(LOGITS.log_softmax(0)[1]), abs=1e-6)


def test_logprob_is_never_above_zero() -> None:
    assert sample(torch.tensor([100.0, -100.0]), draw()).logprob == 0.0


def test_top_k_keeps_the_largest_and_at_the_edge_the_lowest_ids() -> None:
    assert kept(LOGITS, top_k=1) == [1]
    assert kept(LOGITS, top_k=3) == [1, 2, 3]
    assert kept(torch.zeros(6), top_k=4) == [0, 1, 2, 3]


def test_top_k_of_the_vocabulary_or_more_keeps_everything() -> None:
    assert kept(LOGITS, top_k=6) == kept(LOGITS, top_k=99) == kept(LOGITS) == list(range(6))


def test_top_p_keeps_the_token_that_crosses() -> None:
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()

    assert kept(logits, top_p_millionths=1) == [0]
    assert kept(logits, top_p_millionths=500_001) == [0, 1]
    assert kept(logits, top_p_millionths=900_000) == [0, 1, 2]
    assert kept(logits, top_p_millionths=999_999) == [0, 1, 2, 3]


def test_top_p_counts_what_top_k_left() -> None:
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()

    assert kept(logits, top_k=2, top_p_millionths=600_000) == [0]
    assert kept(logits, top_k=2, top_p_millionths=630_000) == [0, 1]


def test_top_p_counts_at_the_given_temperature() -> None:
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()

    assert kept(logits, top_p_millionths=500_000, temperature_millionths=100_000) == [0]
    assert kept(logits, top_p_millionths=500_000, temperature_millionths=10 * MILLION) == [0, 1]


@pytest.mark.parametrize("spread", [0.01, 3.0])
def test_top_p_ranks_as_many_tokens_as_it_needs(spread: float) -> None:
    logits = torch.randn(20 * NUCLEUS, generator=torch.Generator().manual_seed(1)) * spread
    ranked = logits.sort(descending=True, stable=True).indices
    sums = logits.double().softmax(0)[ranked].cumsum(0)
    expected = ranked[: int((sums < 0.9).sum()) + 1].sort().values

    assert kept(logits, top_p_millionths=900_000) == expected.tolist()


@given(
    values=st.lists(st.sampled_from([-2.0, 0.0, 0.5, 0.5, 4.0]), min_size=1, max_size=12),
    top_k=st.integers(0, 14),
    top_p=st.integers(1, MILLION),
    position=st.integers(0, 50),
)
def test_choice_survives_the_filters(values: list[float], top_k: int, top_p: int, position: int) -> None:
    logits, settings = torch.tensor(values), {"top_k": top_k, "top_p_millionths": top_p}

    assert sample(logits, draw(3, position, **settings)).token in kept(logits, **settings)


@pytest.mark.parametrize(
    "settings",
    [{}, {"temperature_millionths": 1_700_000}, {"top_k": 4}, {"top_p_millionths": 700_000}],
    ids=lambda settings: next(iter(settings), "plain"),
)
def test_choices_over_many_seeds_and_positions_follow_the_distribution(settings: dict[str, int]) -> None:
    """Pearson's chi-square over 4,000 draws stays under the 99.99 % quantile for its degrees of freedom."""
    logits, count = torch.tensor([1.0, 0.2, 2.0, 1.5, -0.5, 0.0]), 4000
    ids = torch.tensor(kept(logits, **settings))
    temperature = settings.get("temperature_millionths", MILLION) / MILLION
    expected = (logits[ids].double() / temperature).softmax(0) * count
    choices = sample_rows(logits.repeat(count, 1), [draw(index, index % 7, **settings) for index in range(count)])
    counts = torch.bincount(torch.tensor([choice.token for choice in choices]), minlength=len(logits))

    statistic = float(((counts[ids] - expected) ** 2 / expected).sum())
    assert int(counts.sum()) == int(counts[ids].sum()) == count
    assert statistic < {2: 18.4, 3: 21.1, 5: 25.7}[len(ids) - 1]


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    logits = torch.randn(5, 50, generator=torch.Generator().manual_seed(2))
    draws = [
        draw(1, 4),
        draw(2, 5, temperature_millionths=0),
        draw(3, 6, top_k=7),
        draw(4, 7, top_p_millionths=800_000),
        draw(5, 8, top_k=20, top_p_millionths=500_000, temperature_millionths=700_000),
    ]

    together = sample_rows(logits, draws)
    alone = [sample(row, one) for row, one in zip(logits, draws, strict=True)]
    assert [choice.token for choice in together] == [choice.token for choice in alone]
    assert [choice.logprob for choice in together] == pytest.approx([choice.logprob for choice in alone])


def test_padding_the_vocabulary_changes_nothing() -> None:
    logits = torch.randn(50, generator=torch.Generator().manual_seed(3))
    padded = torch.cat([logits, torch.full((14,), -math.inf)])

    assert [sample(padded, draw(1, at)).token for at in range(30)] == [
        sample(logits, draw(1, at)).token for at in range(30)
    ]


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_broken_logits_spoil_only_their_own_row(broken: float) -> None:
    logits = torch.stack([torch.tensor([0.0, broken, 1.0]), torch.tensor([0.0, 5.0, 1.0])])
    choices = sample_rows(logits, [draw(top_k=1), draw(top_k=1)])

    assert not math.isfinite(choices[0].logprob)
    assert choices[1].token == 1
