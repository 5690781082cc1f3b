"""Which node is asked first."""

from typing import Any

import pytest

from tallynet.client.ranking import Candidate, Demand, Standing, fits, rank, score
from tallynet.protocol.advert import Advert, Offer, SignedAdvert, VerifiedAdvert
from tallynet.protocol.units import Address, Milliseconds, ModelId, PeerId, Signature, Wei

DEMAND = Demand(request_bytes=400, messages=1, max_tokens=100, max_price=None)


def candidate(name: int, standing: Standing | None = None, **changes: Any) -> Candidate:
    fields: dict[str, Any] = {
        "model": ModelId(bytes(32)), "name": "m", "context_length": 4096, "prompt_price": Wei(10),
        "completion_price": Wei(20), "tokens_per_second": 50, "slots": 4, "free_slots": 2, "waiting": 0,
        "evidence": "replayable",
    }  # fmt: skip
    offer = Offer(**{**fields, **changes})
    advert = Advert(PeerId(f"peer {name}"), (), Milliseconds(0), Milliseconds(0), Milliseconds(1), 0, (offer,))
    verified = VerifiedAdvert(advert, Address(bytes([name]) * 20), SignedAdvert(advert, Signature(bytes(65))))
    return Candidate(verified, offer, standing or Standing(latency_seconds=0.05))


PLAIN = candidate(1)


@pytest.mark.parametrize(
    "worse",
    [
        candidate(2, tokens_per_second=20),
        candidate(2, completion_price=Wei(60)),
        candidate(2, free_slots=0, waiting=5),
        candidate(2, context_length=150),
        candidate(2, Standing(latency_seconds=3.0)),
        candidate(2, Standing(latency_seconds=0.05, failures=1)),
        candidate(2, Standing(latency_seconds=0.05, tokens_per_second=5.0)),
        candidate(2, tokens_per_second=0),
        candidate(2, Standing()),
    ],
    ids=["slow", "dear", "busy", "tight", "far", "failed", "slower than it says", "says nothing", "unknown"],
)
def test_worse_node_comes_later(worse: Candidate) -> None:
    for salt in (b"a", b"b", b"c", b"d"):
        assert rank([worse, PLAIN], DEMAND, salt) == [PLAIN, worse]


def test_twice_as_dear_has_to_be_more_than_twice_as_fast() -> None:
    cheap = candidate(1, Standing(latency_seconds=0.001))
    fast = candidate(
        2, Standing(latency_seconds=0.001), prompt_price=Wei(20), completion_price=Wei(40), tokens_per_second=150
    )
    slow = candidate(
        3, Standing(latency_seconds=0.001), prompt_price=Wei(20), completion_price=Wei(40), tokens_per_second=66
    )

    assert rank([slow, cheap, fast], DEMAND, b"") == [fast, cheap, slow]


def test_equals_take_turns_from_job_to_job() -> None:
    equals = [candidate(name) for name in range(1, 6)]
    first = {rank(equals, DEMAND, bytes([salt]))[0].node for salt in range(64)}

    assert first == {equal.node for equal in equals}


def test_order_depends_on_nothing_but_the_arguments() -> None:
    nodes = [candidate(name, tokens_per_second=10 * name) for name in range(1, 6)]

    assert rank(nodes, DEMAND, b"x") == rank(nodes[::-1], DEMAND, b"x")


def test_free_node_beats_a_paid_one_of_its_speed() -> None:
    free = candidate(2, prompt_price=Wei(0), completion_price=Wei(0))

    assert rank([PLAIN, free], DEMAND, b"") == [free, PLAIN]


def test_node_over_the_ceiling_does_not_fit() -> None:
    ceiling = Demand(400, 1, 100, Wei(2009))

    assert not fits(PLAIN, ceiling)
    assert rank([PLAIN], ceiling, b"") == []
    assert fits(PLAIN, Demand(400, 1, 100, Wei(2010)))


def test_no_candidates_make_no_ranking() -> None:
    assert rank([], DEMAND, b"") == []


def test_score_is_finite_for_the_strangest_offer() -> None:
    strange = candidate(
        1, Standing(latency_seconds=0.0, failures=10_000), prompt_price=Wei(2**53 - 1), completion_price=Wei(2**53 - 1),
        slots=0, free_slots=0, waiting=2**32 - 1, tokens_per_second=0, context_length=0,
    )  # fmt: skip

    assert 0 < score(strange, DEMAND, 0) < float("inf")
