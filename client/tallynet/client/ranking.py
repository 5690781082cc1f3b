"""Which node to ask first: the soonest answer for its price, by what nodes advertise and what we saw of them.

    seconds = latency + queue + max_tokens / speed
    queue   = 0 with a free slot, else (waiting + 1) / slots * max_tokens / speed
    score   = seconds * price / cheapest price * 2 ** failures * (TIGHT where the context looks too small)

Lower is better. Twice as dear has to be twice as fast. Speed is what we measured, else what is advertised, which is
a claim. Scores within about a fifth of each other count as equal, and equals are put in an order that differs from
job to job: else every client in the world would ask the same node at the same moment.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

from tallynet.network.transport import PeerAddress
from tallynet.protocol.advert import Offer, VerifiedAdvert
from tallynet.protocol.units import Address, Wei

UNKNOWN_LATENCY_SECONDS = 1.0
"""Assumed of a node that has not answered us yet."""
BYTES_PER_TOKEN = 4
"""Of ordinary text, roughly; only ever used to prefer one node to another."""
TIGHT = 16
"""A node whose context may be too small for the job is asked last, but it is asked: only it can count the tokens."""
STEPS_PER_DOUBLING = 4
"""How finely scores are told apart: 2 ** (1/4) is about a fifth."""
MOST_FAILURES = 20


@dataclass(frozen=True, slots=True)
class Standing:
    """What we saw of one peer ourselves, since this client was started."""

    latency_seconds: float | None = None
    """The last question and answer, dialling included when there was no connection yet."""
    tokens_per_second: float | None = None
    """Of its last answer to us, by the times it signed."""
    failures: int = 0
    """Since its last answer."""
    fault: str = ""
    """Why it is not to be trusted any more; empty for all but proven cheats and the badly broken."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node that offers the model."""

    advert: VerifiedAdvert
    offer: Offer
    standing: Standing = Standing()

    @property
    def node(self) -> Address:
        return self.advert.node

    @property
    def peer(self) -> PeerAddress:
        return PeerAddress(self.advert.advert.peer, self.advert.advert.addresses)


@dataclass(frozen=True, slots=True)
class Demand:
    """The size of a job, as far as it is known before a tokenizer has seen it."""

    request_bytes: int
    messages: int
    max_tokens: int
    max_price: Wei | None

    @property
    def most_prompt_tokens(self) -> int:
        """No tokenizer makes more tokens than bytes; a chat template adds a few to each message."""
        return self.request_bytes + 64 + 32 * self.messages

    @property
    def likely_tokens(self) -> int:
        return self.request_bytes // BYTES_PER_TOKEN + self.max_tokens


def fits(candidate: Candidate, demand: Demand) -> bool:
    """Whether the node can take the job for its price: the longest answer to the shortest prompt is affordable."""
    least = candidate.offer.price(1, demand.max_tokens)
    return demand.max_price is None or least <= demand.max_price


def rank(candidates: Sequence[Candidate], demand: Demand, salt: bytes) -> list[Candidate]:
    """Those that fit, best first. Pure: the same arguments give the same order; `salt` orders equals."""
    fitting = [candidate for candidate in candidates if fits(candidate, demand)]
    cheapest = min((_price(candidate, demand) for candidate in fitting), default=0)
    places = {
        candidate.node: (
            round(STEPS_PER_DOUBLING * math.log2(score(candidate, demand, cheapest))),
            hashlib.sha256(salt + candidate.node).digest(),
        )
        for candidate in fitting
    }
    return sorted(fitting, key=lambda candidate: places[candidate.node])


def score(candidate: Candidate, demand: Demand, cheapest: int) -> float:
    """See the top of this file; above 0."""
    expense = (_price(candidate, demand) + 1) / (cheapest + 1)
    failures = 2.0 ** min(candidate.standing.failures, MOST_FAILURES)
    tight = TIGHT if demand.likely_tokens > candidate.offer.context_length else 1
    return _seconds(candidate, demand) * expense * failures * tight


def _seconds(candidate: Candidate, demand: Demand) -> float:
    offer, standing = candidate.offer, candidate.standing
    speed = standing.tokens_per_second or float(offer.tokens_per_second)
    work = demand.max_tokens / max(speed, 0.01)
    queue = 0.0 if offer.free_slots else (offer.waiting + 1) / max(offer.slots, 1) * work
    latency = UNKNOWN_LATENCY_SECONDS if standing.latency_seconds is None else standing.latency_seconds
    return max(latency, 1e-4) + queue + work


def _price(candidate: Candidate, demand: Demand) -> int:
    return candidate.offer.price(max(1, demand.request_bytes // BYTES_PER_TOKEN), demand.max_tokens)
