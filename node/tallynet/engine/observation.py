"""(6) What a replay looks at and what it finds, in plain numbers: judged by `tallynet.audit`, computed by `replay.py`.

Nothing here decides anything.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tallynet.engine.evidence import Record
from tallynet.protocol.job import MILLION, Sampling
from tallynet.protocol.request import Bias
from tallynet.protocol.units import Digest, TokenIds

TEMPERATURE_FACTORS = (0.7, 0.8, 0.9, 1.1, 1.2, 1.3)
TOP_P_STEPS = (-100_000, -50_000, 50_000, 100_000)
"""In millionths."""
SAMPLED_INSTEAD = (500_000, 700_000, MILLION)
"""Temperatures tried where greedy was asked for, in millionths."""
HOTTEST = 10 * MILLION


@dataclass(frozen=True, slots=True)
class Claim:
    """One run as its node tells it."""

    prompt: TokenIds
    sampling: Sampling
    seed: Digest
    tokens: TokenIds
    logprobs: tuple[float, ...]
    """One per token."""
    records: tuple[Record, ...] = ()
    """One per group of tokens; none where the node measured nothing."""
    schema: str = ""
    """What the answer keeps to, as the request says; empty for none."""
    logit_bias: tuple[Bias, ...] = ()
    """As the request says."""


@dataclass(frozen=True, slots=True)
class Alternative:
    """Another way to choose tokens, to be told from the claimed one."""

    name: str
    sampling: Sampling
    seed: Digest


@dataclass(frozen=True, slots=True)
class Pairing:
    """How many tokens an alternative explains and the claim does not, and the other way round."""

    name: str
    alternative_only: int
    claim_only: int

    @property
    def z(self) -> float:
        """McNemar's statistic: large when the alternative explains the tokens better."""
        differing = self.alternative_only + self.claim_only
        return (self.alternative_only - self.claim_only) / differing**0.5 if differing else 0.0


@dataclass(frozen=True, slots=True)
class Observation:
    """What one prefill over prompt and answer found, token by token."""

    matches: tuple[bool, ...]
    """Whether the claimed rule chooses this token from the recomputed logits."""
    margins: tuple[float, ...]
    """By how much the token's score, logit + T · noise, lies below the best one, in logits; 0 for the best."""
    outside: tuple[int, ...]
    """Positions whose token is outside the filter, even widened by the slack."""
    logprobs: tuple[float, ...]
    """Recomputed."""
    distances: tuple[float, ...]
    """Per group: how far the claimed sketch lies from the recomputed one, in units of the latter's size."""
    pairings: tuple[Pairing, ...]
    exact_groups: int = 0
    """How many groups from the first on have the very hash, computed again token by token."""
    exact_tried: int = 0
    """How many groups that was tried for."""
    barred: int | None = None
    """The first token that the schema does not let come next."""
    notes: tuple[str, ...] = field(default=())
    """What could not be looked at, and why."""


def together(seen: Sequence[Observation]) -> Observation:
    """Several runs as one: what a node's accumulated score is made of."""
    pairs: dict[str, list[int]] = {}
    for one in seen:
        for pair in one.pairings:
            sums = pairs.setdefault(pair.name, [0, 0])
            sums[0] += pair.alternative_only
            sums[1] += pair.claim_only
    starts = [sum(len(one.matches) for one in seen[:at]) for at in range(len(seen))]
    return Observation(
        tuple(value for one in seen for value in one.matches),
        tuple(value for one in seen for value in one.margins),
        tuple(start + at for start, one in zip(starts, seen, strict=True) for at in one.outside),
        tuple(value for one in seen for value in one.logprobs),
        tuple(value for one in seen for value in one.distances),
        tuple(Pairing(name, *sums) for name, sums in pairs.items()),
    )


def alternatives(claim: Claim) -> tuple[Alternative, ...]:
    """What the claimed sampling is compared with: other temperatures, other top-p, greedy, the next seed."""
    asked = claim.sampling
    if not asked.temperature_millionths:
        hot = [("temperature " + _decimal(value), _with(asked, temperature=value)) for value in SAMPLED_INSTEAD]
        return tuple(Alternative(name, sampling, claim.seed) for name, sampling in hot)
    found = [(f"temperature x{factor:g}", _heated(asked, factor)) for factor in TEMPERATURE_FACTORS]
    shifted = {max(1, min(MILLION, asked.top_p_millionths + step)) for step in TOP_P_STEPS}
    found += [(f"top-p {_decimal(p)}", _with(asked, top_p=p)) for p in sorted(shifted - {asked.top_p_millionths})]
    found.append(("greedy", _with(asked, temperature=0)))
    others = tuple(Alternative(name, sampling, claim.seed) for name, sampling in found)
    return (*others, Alternative("the next seed", asked, next_seed(claim.seed)))


def next_seed(seed: Digest) -> Digest:
    return Digest(((int.from_bytes(seed) + 1) % 2**256).to_bytes(32))


def _heated(sampling: Sampling, factor: float) -> Sampling:
    return _with(sampling, temperature=max(1, min(HOTTEST, round(sampling.temperature_millionths * factor))))


def _with(sampling: Sampling, *, temperature: int | None = None, top_p: int | None = None) -> Sampling:
    heat = sampling.temperature_millionths if temperature is None else temperature
    mass = sampling.top_p_millionths if top_p is None else top_p
    return Sampling(sampling.max_tokens, heat, sampling.top_k, mass, sampling.stop)


def _decimal(millionths: int) -> str:
    return f"{millionths / MILLION:g}"
