"""Choosing tokens so that anybody can check the choice: argmax of logits/T plus keyed Gumbel noise.

The order of the rules, per row, with z the float32 logits and everything after them in float64:

1. T = 0: the largest z; ties go to the lowest id. Nothing below applies.
2. top-k: the k largest z stay; ties at the edge go to the lowest ids.
3. top-p: the probabilities softmax(z/T) of what is left, from the largest down, ties by lowest id, are summed;
   the smallest prefix whose sum reaches p stays, so the token that crosses p is kept.
4. Of the survivors, the largest z/T + G(token, position); ties go to the lowest id.

The noise G belongs to (seed, position, token id) alone, so batch, order, padding and device do not matter: what one
prefill over the finished text yields is the same choice, up to float noise in z. Source: spec chapter 3.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tallynet.engine.noise import gumbel
from tallynet.engine.philox import NoiseKey
from tallynet.protocol.job import Sampling

MILLION = 1_000_000

NUCLEUS = 128
"""How many of the likeliest tokens are ranked first for top-p; 16 times as many as long as they do not reach p."""

SCORES = 65_536
"""So many scores of whole rows are computed together on a CPU: they stay in its cache."""


@dataclass(frozen=True, slots=True)
class Draw:
    """What one row needs besides its logits."""

    sampling: Sampling
    key: NoiseKey
    """`philox.noise_key(seed)`."""
    position: int
    """Index of the token to choose among the generated tokens, from 0."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The token chosen for one row."""

    token: int
    logprob: float
    """Natural log of its probability under softmax(z), a float32 of at most 0: no temperature, no filter.
    Not finite when z is broken."""


def sample(logits: Tensor, draw: Draw) -> Choice:
    """Choose for one row: logits (vocabulary,)."""
    return sample_rows(logits[None], [draw])[0]


def sample_rows(logits: Tensor, draws: Sequence[Draw]) -> list[Choice]:
    """Choose for each row: logits (rows, vocabulary), any float dtype, one draw per row."""
    if logits.device.type == "mps":
        logits = logits.cpu()  # Metal has no float64
    logits = logits.float()
    totals = logits.logsumexp(dim=-1)  # (rows,)
    tokens = logits.argmax(dim=-1)  # (rows,), the lowest id of equals
    sound = totals.isfinite().tolist()
    rows = [row for row, draw in enumerate(draws) if draw.sampling.temperature_millionths and sound[row]]
    whole = [row for row in rows if not _filters(draws[row].sampling, logits.shape[1])]
    together = max(1, SCORES // logits.shape[1] if logits.device.type == "cpu" else len(whole))
    for start in range(0, len(whole), together):
        some = whole[start : start + together]
        tokens[torch.tensor(some, device=tokens.device)] = _choose(logits[some], [draws[row] for row in some])
    for row in sorted(set(rows) - set(whole)):
        ids = survivors(logits[row], draws[row].sampling)
        tokens[row] = ids[_choose(logits[row, ids][None], [draws[row]], ids)[0]]
    logprobs = (logits.gather(1, tokens[:, None])[:, 0] - totals).clamp(max=0)
    return [Choice(token, logprob) for token, logprob in zip(tokens.tolist(), logprobs.tolist(), strict=True)]


def survivors(logits: Tensor, sampling: Sampling) -> Tensor:
    """Rules 2 and 3: the ids that may be chosen, ascending; logits (vocabulary,) float32, temperature above 0."""
    size = len(logits)
    count = min(sampling.top_k or size, size)
    if sampling.top_p_millionths < MILLION:
        return _nucleus(logits, count, sampling).sort().values
    if count < size:
        return _largest(logits, count).sort().values
    return torch.arange(size, device=logits.device)


def _filters(sampling: Sampling, size: int) -> bool:
    """Whether rules 2 and 3 leave anything out."""
    return sampling.top_p_millionths < MILLION or 0 < sampling.top_k < size


def _choose(logits: Tensor, draws: Sequence[Draw], ids: Tensor | None = None) -> Tensor:
    """Rule 4: the place of each row's best, (rows,) int64; logits (rows, n) of the tokens `ids` (n,), or of all."""
    tokens = torch.arange(logits.shape[1], device=logits.device) if ids is None else ids
    keys = torch.tensor([(*draw.key, draw.position) for draw in draws], device=logits.device).T[..., None]
    temperatures = torch.tensor(
        [draw.sampling.temperature_millionths / MILLION for draw in draws], dtype=torch.float64, device=logits.device
    )
    scores = logits.double() / temperatures[:, None] + gumbel(keys[:4], tokens, keys[4])  # keys (5, rows, 1)
    return scores.argmax(dim=1)


def _nucleus(logits: Tensor, count: int, sampling: Sampling) -> Tensor:
    """Rule 3 on the `count` largest: ids from the likeliest down."""
    limit = sampling.top_p_millionths / MILLION
    pool = logits[_largest(logits, count)] if count < len(logits) else logits
    total = _scaled(pool, sampling).logsumexp(dim=0)
    width = NUCLEUS
    while True:
        ranked = _largest(logits, min(width, count))
        sums = (_scaled(logits[ranked], sampling) - total).exp().cumsum(dim=0)
        below = int((sums < limit).sum())
        if below < len(ranked) or len(ranked) == count:
            return ranked[: below + 1]
        width *= 16


def _largest(logits: Tensor, count: int) -> Tensor:
    """Ids of the `count` largest, from the largest down, ties by lowest id."""
    edge = logits.topk(count).values[-1]
    ids = (logits >= edge).nonzero()[:, 0]
    return ids[logits[ids].sort(descending=True, stable=True).indices[:count]]


def _scaled(logits: Tensor, sampling: Sampling) -> Tensor:
    return logits.double() / (sampling.temperature_millionths / MILLION)
