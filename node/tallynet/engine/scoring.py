"""Recomputed logits against the tokens that a node claims to have chosen from them.

Only the CANDIDATES likeliest tokens of each position and the claimed token itself get noise. The true choice is
sometimes another one; then the claimed token is compared with fewer rivals than it had, which can only favour the
node: an honest token is never beaten by a rival that it beat before. Source: spec chapter 6, "Replay".
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from tallynet.engine.noise import gumbel
from tallynet.engine.philox import noise_key
from tallynet.protocol.job import MILLION, Sampling
from tallynet.protocol.units import Digest

CANDIDATES = 64
ROWS = 16
"""Positions that are worked on together over the whole vocabulary: they stay in a processor's cache."""
MOST_EXPONENT = 500.0
"""exp of it is still a number."""
HALVINGS = 20
BLOCK = 16
"""Tokens of which the likeliest is looked at first."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Of n positions."""

    matches: Tensor
    """(n,) bool"""
    margins: Tensor
    """(n,) float64, in logits: of the rivals that count, the best is so far above."""


class Candidates:
    """The tokens of n positions that may have been chosen, the claimed one last."""

    def __init__(self, logits: Tensor, claimed: Sequence[int], first: int, most: int = CANDIDATES) -> None:
        """logits (n, vocabulary) float32, `claimed` n token ids, `first` the position of the first of them."""
        count, size = logits.shape
        self._logits = logits
        self._claimed = torch.tensor(list(claimed), device=logits.device)[:, None]  # (n, 1)
        self._totals: dict[tuple[int, int], Tensor] = {}
        self._masses: dict[tuple[int, int, bool], Tensor] = {}
        self._noise: dict[Digest, Tensor] = {}
        ids = _largest(logits, min(most, size)).sort(dim=1).values  # ties by lowest id
        order = logits.gather(1, ids).sort(dim=1, descending=True, stable=True).indices
        self._ids = torch.cat([ids.gather(1, order), self._claimed], dim=1)  # (n, candidates + 1)
        self._values = logits.gather(1, self._ids)
        self._positions = torch.arange(first, first + count, device=logits.device)

    def logprobs(self) -> Tensor:
        """(n,) of the claimed tokens under softmax(z)."""
        return (self._values[:, -1] - self._sums).clamp(max=0)

    @cached_property
    def _sums(self) -> Tensor:
        """(n,) float32: logsumexp of z."""
        return torch.cat([rows.logsumexp(dim=1) for rows in self._logits.split(ROWS)])  # type: ignore[no-untyped-call]

    @cached_property
    def _far(self) -> Tensor:
        """Indices of the positions whose claimed token is less likely than all candidates."""
        return (self._values[:, -1] < self._values[:, -2]).nonzero()[:, 0]

    def score(self, sampling: Sampling, seed: Digest, *, exact: bool = True, slack: float = 0.0) -> Scores:
        """Whether the rule chooses the claimed tokens, and by how much they miss.

        Rivals that logits within `slack` of ours would filter out count for no margin: an honest node may have had
        none of them, and large noise on one says nothing. If not `exact`, top-p keeps a claimed token that is less
        likely than all candidates although it may be beyond the edge: good enough for an alternative, and saves a
        pass over the vocabulary.
        """
        temperature = sampling.temperature_millionths / MILLION
        scores = self._values.double()
        if temperature:
            kept = self._kept(sampling, exact)
            scores = scores + temperature * self._noise_of(seed)
            matches = (scores.masked_fill(~kept, -torch.inf).amax(dim=1) <= scores[:, -1]) & kept[:, -1]
            gap = self._gap(sampling, kept)
            sure = kept & self._surely_kept(sampling, slack) if slack else kept
            best = scores.masked_fill(~sure, -torch.inf).amax(dim=1)
            return Scores(matches, torch.maximum((best - scores[:, -1]).clamp(min=0), gap))
        margins = scores.amax(dim=1) - scores[:, -1]
        return Scores(margins == 0, margins)

    def outside(self, sampling: Sampling, slack: float) -> Tensor:
        """(n,) bool: the token is filtered out whatever logits that differ by `slack` from ours one assumes."""
        count = len(self._values)
        everywhere = torch.full((count, 1), slack, dtype=torch.float64, device=self._values.device)
        return self._outside(sampling, everywhere, torch.arange(count, device=self._values.device))

    def _outside(self, sampling: Sampling, slack: Tensor, rows: Tensor) -> Tensor:
        """The same of the positions `rows`; slack (rows, 1) float64."""
        values, claimed = self._values[rows, :-1].double(), self._values[rows, -1:].double()
        above = values > claimed + slack
        if not sampling.temperature_millionths:
            return above.any(dim=1)
        found = torch.zeros(len(values), dtype=torch.bool, device=values.device)
        if 0 < sampling.top_k <= values.shape[1]:
            found |= above.sum(dim=1) >= sampling.top_k
        if sampling.top_p_millionths < MILLION:
            mass = (self._probabilities(sampling)[rows] * above).sum(dim=1)  # of those surely above it
            odds = (-slack[:, 0] * MILLION / sampling.temperature_millionths).exp()
            least = mass * odds / (mass * odds + (1 - mass).clamp(min=0))
            found |= (least >= sampling.top_p_millionths / MILLION) & above.any(dim=1)
        return found

    def _gap(self, sampling: Sampling, kept: Tensor) -> Tensor:
        """(n,) float64: how much logits have to differ from ours for the filter to leave the claimed token; 0 where it
        does. By halving: the value of the last token that is left is always far enough."""
        gap = torch.zeros(len(kept), dtype=torch.float64, device=kept.device)
        rows = (~kept[:, -1]).nonzero()[:, 0]
        if len(rows):
            edge = self._values[rows].double().masked_fill(~kept[rows], torch.inf).amin(dim=1, keepdim=True)
            high = (edge - self._values[rows, -1:]).clamp(min=0)
            low = torch.zeros_like(high)
            for _ in range(HALVINGS):
                middle = (low + high) / 2
                out = self._outside(sampling, middle, rows)[:, None]
                low, high = torch.where(out, middle, low), torch.where(out, high, middle)
            gap[rows] = high[:, 0]
        return gap

    def _surely_kept(self, sampling: Sampling, slack: float) -> Tensor:
        """(n, candidates + 1) bool: what the filter leaves whatever logits that differ by `slack` one assumes."""
        values = self._values[:, :-1]
        width = values.shape[1]
        sure = torch.ones_like(self._values, dtype=torch.bool)
        before = torch.searchsorted(-values, slack - values)  # with itself: so many may come before it
        if 0 < sampling.top_k < self._logits.shape[1]:
            sure[:, :-1] &= before <= sampling.top_k
        if sampling.top_p_millionths < MILLION:
            likely = self._probabilities(sampling)
            mass = likely.cumsum(dim=1).gather(1, before - 1) - likely
            if width < self._logits.shape[1]:  # what is behind the last candidate may come before it too
                mass = torch.where(before == width, 1 - likely, mass)
            odds = math.exp(min(slack * MILLION / sampling.temperature_millionths, MOST_EXPONENT))
            sure[:, :-1] &= mass * odds < sampling.top_p_millionths / MILLION * (1 - mass + mass * odds)
        return sure

    def _kept(self, sampling: Sampling, exact: bool) -> Tensor:
        """(n, candidates + 1) bool: what the filter leaves."""
        width = self._values.shape[1] - 1
        kept = torch.ones_like(self._values, dtype=torch.bool)
        if 0 < sampling.top_k < self._logits.shape[1]:
            kept[:, :-1] = torch.arange(width, device=kept.device) < sampling.top_k
            kept[:, -1] = (self._values[:, :-1] > self._values[:, -1:]).sum(dim=1) < sampling.top_k
        if sampling.top_p_millionths < MILLION:
            limit = sampling.top_p_millionths / MILLION
            likely = self._probabilities(sampling)
            sums = likely.cumsum(dim=1)
            kept[:, :-1] &= sums - likely < limit
            kept[:, -1] &= self._mass_above(sampling, likely, exact) < limit
        return kept

    def _mass_above(self, sampling: Sampling, likely: Tensor, exact: bool) -> Tensor:
        """(n,) float64: probability of all tokens, or all candidates, that are likelier than the claimed one."""
        key = (sampling.temperature_millionths, sampling.top_k, exact)
        if key not in self._masses:
            mass = (likely * (self._values[:, :-1] > self._values[:, -1:])).sum(dim=1)
            if exact and len(self._far) and not sampling.top_k and likely.shape[1] < self._logits.shape[1]:
                for some in self._far.split(ROWS):  # type: ignore[no-untyped-call]
                    mass[some] = self._far_mass(sampling, some)
            self._masses[key] = mass
        return self._masses[key]

    def _far_mass(self, sampling: Sampling, some: Tensor) -> Tensor:
        """The same of some positions, over the whole vocabulary."""
        rows, claimed = self._logits[some], self._values[some, -1:]
        scale, total = MILLION / sampling.temperature_millionths, self._total(sampling)[some, None].float()
        return torch.where(rows > claimed, rows, -torch.inf).mul_(scale).sub_(total).exp_().sum(dim=1).double()

    def _probabilities(self, sampling: Sampling) -> Tensor:
        """(n, candidates) float64: softmax(z/T) after top-k."""
        scaled = self._values[:, :-1].double() * (MILLION / sampling.temperature_millionths)
        return (scaled - self._total(sampling)[:, None]).exp() * self._in_top_k(sampling)

    def _in_top_k(self, sampling: Sampling) -> Tensor:
        width = self._values.shape[1] - 1
        return torch.arange(width, device=self._values.device) < (sampling.top_k or width)

    def _total(self, sampling: Sampling) -> Tensor:
        """(n,) float64: logsumexp of what top-k leaves of z/T."""
        key = (sampling.temperature_millionths, sampling.top_k)
        if key not in self._totals:
            self._totals[key] = self._total_of(sampling).double()
        return self._totals[key]

    def _total_of(self, sampling: Sampling) -> Tensor:
        scale = MILLION / sampling.temperature_millionths
        if 0 < sampling.top_k < self._logits.shape[1]:
            return (self._values[:, : min(sampling.top_k, self._values.shape[1] - 1)] * scale).logsumexp(dim=1)
        return self._sums if scale == 1 else (self._logits * scale).logsumexp(dim=1)

    def _noise_of(self, seed: Digest) -> Tensor:
        """(n, candidates + 1) float64"""
        if seed not in self._noise:
            keys = torch.tensor(noise_key(seed), device=self._ids.device)[:, None, None]
            self._noise[seed] = gumbel(keys, self._ids, self._positions[:, None])
        return self._noise[seed]


def _largest(logits: Tensor, count: int) -> Tensor:
    """The ids of the `count` largest of each row, in no order, (n, count).

    They lie in the `count` blocks with the largest maxima; to rank these takes less time than to rank all.
    """
    positions, size = logits.shape
    if size % BLOCK or size < 4 * BLOCK * count:
        return logits.topk(count, dim=1, sorted=False).indices
    maxima = logits.view(positions, BLOCK, size // BLOCK).amax(dim=1)
    blocks = maxima.topk(count, dim=1, sorted=False).indices  # block b holds the ids b, b + size / BLOCK, …
    ids = (blocks[:, :, None] + torch.arange(0, size, size // BLOCK, device=logits.device)).view(positions, -1)
    return ids.gather(1, logits.gather(1, ids).topk(count, dim=1, sorted=False).indices)
