"""The running generations of one model: prompts go in, every step gives the next logits of all of them.

A prompt is prefilled alone, so its own numbers never depend on its neighbours. Decoding steps are shared: in float32
a row's logits then differ by about 1e-6 from those it would have alone, in bfloat16 by up to some tenths.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

from tallynet.engine.cache import SlotCache
from tallynet.engine.forward import Forward
from tallynet.protocol.units import TokenIds

PLAIN_LAYERS = (DynamicLayer, DynamicSlidingWindowLayer)
"""Cache layers that hold the keys and values of single tokens and nothing else."""


class Batch(Protocol):
    """Rows are numbered from 0 without gaps; calls come from one thread, inside `torch.inference_mode()`."""

    slots: int
    """The most rows at a time."""

    @property
    def rows(self) -> int: ...

    def join(self, prompt: TokenIds) -> Tensor:
        """Prefill a prompt as the last row; returns the logits after it, (vocabulary,).

        When it raises, the other rows are either as they were or all gone.
        """

    def step(self, tokens: Sequence[int]) -> Tensor:
        """Append one token to every row; returns the logits after them, (rows, vocabulary)."""

    def leave(self, row: int) -> None:
        """End a row; the last row takes its number."""

    def clear(self) -> None:
        """End all rows, in whatever state an error has left them."""


class SlotBatch:
    """Many rows at once, for models whose cache is keys and values and nothing else."""

    def __init__(self, model: PreTrainedModel, slots: int) -> None:
        self.slots = slots
        self._forward = Forward(model)
        self._cache = SlotCache()

    @property
    def rows(self) -> int:
        return len(self._cache.lengths)

    def join(self, prompt: TokenIds) -> Tensor:
        prefilled = DynamicCache()  # without the configuration: sliding layers keep every token too
        logits, _ = self._forward([list(prompt)], prefilled)
        try:
            self._cache.join(prefilled, len(prompt))
        except Exception:  # some layers may have moved and others not
            self._cache.clear()
            raise
        return logits[0]

    def step(self, tokens: Sequence[int]) -> Tensor:
        self._cache.make_room()
        lengths = torch.tensor(self._cache.lengths)
        logits, _ = self._forward(
            [[token] for token in tokens], self._cache, positions=lengths[:, None], mask=_padding(lengths)
        )
        self._cache.advance()
        return logits

    def leave(self, row: int) -> None:
        self._cache.leave(row)

    def clear(self) -> None:
        self._cache.clear()


class LoneBatch:
    """At most one row, with whatever cache the model builds: recurrent states, convolutions, shared layers."""

    slots = 1

    def __init__(self, model: PreTrainedModel) -> None:
        self._forward = Forward(model)
        self._cache: Cache | None = None

    @property
    def rows(self) -> int:
        return int(self._cache is not None)

    def join(self, prompt: TokenIds) -> Tensor:
        logits, self._cache = self._forward([list(prompt)], None)
        return logits[0]

    def step(self, tokens: Sequence[int]) -> Tensor:
        logits, self._cache = self._forward([list(tokens)], self._cache)
        return logits

    def leave(self, row: int) -> None:
        self._cache = None

    def clear(self) -> None:
        self._cache = None


def can_share_steps(model: PreTrainedModel) -> bool:
    """Whether the model's cache, as transformers would build it, is keys and values and nothing else."""
    layers = DynamicCache(config=model.config).layers
    return Forward(model).takes_positions and all(type(layer) in PLAIN_LAYERS for layer in layers)


def _padding(lengths: Tensor) -> Tensor | None:
    """The mask of a step, (rows, columns) bool; None where all rows are equally long."""
    starts = lengths.max() - lengths
    if not starts.any():
        return None
    return torch.arange(int(lengths.max()) + 1) >= starts[:, None]
