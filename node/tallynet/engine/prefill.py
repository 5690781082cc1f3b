"""Prompts on their way into a batch: a bounded part of them a step, so that running generations never wait for long.

A long prompt is cut into parts. Prompts of similar length share their passes, aligned to the right; in float32 their
logits then differ by about 1e-6 from those they would have alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache

from tallynet.engine.forward import Forward
from tallynet.protocol.units import TokenIds

PART_TOKENS = 256
"""Positions of one pass, padding included: enough to keep a processor's arithmetic busy, few enough to wait for."""

PADDED = 1.25
"""Prompts share passes as long as padding adds no more than a quarter to their tokens."""

PADDING = 0
"""The token that fills up: any will do, it is masked."""


@dataclass
class Prefill:
    """One prompt, or a few that share their passes."""

    prompts: Sequence[TokenIds]
    cache: DynamicCache = field(default_factory=DynamicCache)
    """Without the configuration: sliding layers keep every token too."""
    done: int = 0
    """Columns in the cache."""
    given: int = 0
    """Columns that were there before: another prompt's, which began with the same tokens."""

    @property
    def lengths(self) -> list[int]:
        return [len(prompt) for prompt in self.prompts]

    @property
    def width(self) -> int:
        return max(self.lengths)

    @property
    def positions(self) -> int:
        """Computed so far, padding included."""
        return (self.done - self.given) * len(self.prompts)

    @property
    def alone(self) -> bool:
        """Whether no other prompt's numbers had a part in these."""
        return len(self.prompts) == 1 and not self.given

    @property
    def complete(self) -> bool:
        return self.done == self.width

    def advance(self, forward: Forward) -> Tensor:
        """One pass of at most PART_TOKENS; returns the logits after its last column, (prompts, vocabulary)."""
        begin, end = self.done, min(self.width, self.done + max(1, PART_TOKENS // len(self.prompts)))
        positions, mask = self._padding(begin, end)
        logits, _ = forward(self._columns(begin, end), self.cache, positions=positions, mask=mask)
        self.done = end
        return logits[:, -1]

    def _columns(self, begin: int, end: int) -> list[list[int]]:
        width = self.width
        return [[*(PADDING,) * (width - len(prompt)), *prompt][begin:end] for prompt in self.prompts]

    def _padding(self, begin: int, end: int) -> tuple[Tensor | None, Tensor | None]:
        """Positions (prompts, end - begin) and mask (prompts, end) where some prompts are shorter than others."""
        starts = self.width - torch.tensor(self.lengths)[:, None]
        if not starts.any():
            return None, None
        columns = torch.arange(end)
        return (columns[begin:] - starts).clamp(min=0), columns >= starts


def fitting(prompts: Sequence[TokenIds]) -> int:
    """How many prompts, from the first, may share their passes; at least one."""
    longest = total = 0
    for count, prompt in enumerate(prompts):
        longest, total = max(longest, len(prompt)), total + len(prompt)
        padded = (count + 1) * longest
        if count and (padded > PART_TOKENS or padded > PADDED * total):
            return count
    return len(prompts)
