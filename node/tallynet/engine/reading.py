"""A given text read once: the logits at the place of each of its tokens, a bounded part of them a pass.

The same passes, in the same order, are made by a node that scores a text and by an auditor who does it again: on the
same machine all numbers are then the same bit by bit. A text shares its passes with nobody.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.cache_utils import Cache, DynamicCache

from tallynet.engine.forward import Forward
from tallynet.engine.prefill import PART_TOKENS
from tallynet.engine.recital import Guess
from tallynet.engine.weights import vocabulary_size
from tallynet.protocol.units import TokenIds

LOGITS_AT_ONCE = 1 << 23
"""Logits of one pass; with what is made of them they take LOGIT_BYTES each."""

LOGIT_BYTES = 24
"""Itself in the model's numbers and as float32, and what summing and ranking takes."""

TIES = 8
"""How many more tokens are ranked than are told: ties go to the lowest id."""


@dataclass
class Reading:
    """A text being read; it begins with at least one token that is not scored."""

    prompt: TokenIds
    tokens: TokenIds
    cache: Cache | None
    done: int = 0
    """Positions so far."""

    @property
    def positions(self) -> int:
        return self.done

    @property
    def complete(self) -> bool:
        return self.done == len(self.prompt) + len(self.tokens)


@dataclass(frozen=True, slots=True)
class Seen:
    """What one pass has seen of n places, from the one of token number `first` on.

    The last place of a text is that after its last token.
    """

    first: int
    logits: Tensor
    """(n, vocabulary) float32"""
    hidden: Tensor | None
    """(n, width) on the CPU, in the model's own numbers: what went into the head; None where a model shows none."""

    def logprobs(self, tokens: TokenIds) -> list[float]:
        """Of the text's `tokens`, all of them, those whose places were seen; not finite when the logits are broken."""
        ids = torch.tensor(tokens[self.first : self.first + len(self.logits)], device=self.logits.device)
        chosen = self.logits[: len(ids)].gather(1, ids[:, None])[:, 0]
        values: list[float] = (chosen - self.totals[: len(ids)]).clamp(max=0).tolist()
        return values

    def likeliest(self, top: int) -> list[list[Guess]]:
        """The `top` likeliest tokens of each place; ties go to the lowest id."""
        if not top:
            return [[] for _ in self.logits]
        ids = self.logits.topk(min(top + TIES, self.logits.shape[1]), dim=1).indices.sort(dim=1).values
        order = self.logits.gather(1, ids).sort(dim=1, descending=True, stable=True).indices[:, :top]
        ids = ids.gather(1, order)
        logprobs = (self.logits.gather(1, ids) - self.totals[:, None]).clamp(max=0)
        return [list(zip(*row, strict=True)) for row in zip(ids.tolist(), logprobs.tolist(), strict=True)]

    @property
    def totals(self) -> Tensor:
        """(n,) float32: logsumexp of the logits."""
        return self.logits.logsumexp(dim=1)


class Reader:
    """Reads texts with one model; calls come from one thread, inside `torch.inference_mode()`."""

    def __init__(
        self,
        model: PreTrainedModel,
        *,
        in_parts: bool,
        packed: AbstractContextManager[object] | None = None,
    ) -> None:
        """`in_parts` says that the model's cache is keys and values and nothing else; any other goes token by token.

        `packed` is entered for each pass: weights in a faster layout.
        """
        self._forward = Forward(model)
        self._in_parts = in_parts
        self._packed = packed or nullcontext()
        self.part = part_positions(vocabulary_size(model)) if in_parts else 1
        """Positions of one pass."""

    def begin(self, prompt: TokenIds, tokens: TokenIds) -> Reading:
        return Reading(prompt, tokens, DynamicCache() if self._in_parts else None)

    def advance(self, reading: Reading) -> Seen:
        """One pass over the next positions; nothing was seen as long as they are the prompt's, but for its last."""
        fed = (*reading.prompt, *reading.tokens)
        begin, end = reading.done, min(len(fed), reading.done + self.part)
        start = len(reading.prompt) - 1
        seen = max(0, end - max(begin, start))
        with self._packed:
            logits, reading.cache = self._forward([list(fed[begin:end])], reading.cache, keep=max(1, seen))
        reading.done = end
        states, shown = self._forward.hidden, logits.shape[1] - seen
        return Seen(
            max(begin, start) - start, logits[0, shown:].float(), None if states is None else states[0, shown:].cpu()
        )


def part_positions(vocabulary: int) -> int:
    """Positions of one pass: as many as their logits allow."""
    return max(1, min(PART_TOKENS, LOGITS_AT_ONCE // vocabulary))
