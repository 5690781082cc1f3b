"""The running generations of one model: prompts go in, every step gives the next logits of all of them.

Decoding steps are shared, and so are passes over short prompts: in float32 a row's logits then differ by about 1e-6
from those it would have alone, in bfloat16 by up to some tenths.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

from tallynet.engine.cache import SlotCache, states_of
from tallynet.engine.forward import Forward
from tallynet.engine.packing import PackedLinears
from tallynet.engine.prefill import Prefill, fitting
from tallynet.engine.prefixes import Prefixes
from tallynet.engine.reading import Reader
from tallynet.engine.weights import context_length
from tallynet.protocol.units import TokenIds

PLAIN_LAYERS = (DynamicLayer, DynamicSlidingWindowLayer)
"""Cache layers that hold the keys and values of single tokens and nothing else."""


class Batch(Protocol):
    """Rows are numbered from 0 without gaps; calls come from one thread, inside `torch.inference_mode()`."""

    slots: int
    """The most rows at a time."""

    @property
    def rows(self) -> int: ...

    @property
    def hidden(self) -> Tensor | None:
        """The final hidden states behind the latest logits, (rows, width); None where the model shows none."""

    @property
    def reader(self) -> Reader | None:
        """What scores given texts beside the rows; None for a model that can't."""

    def begin(self, prompts: Sequence[TokenIds]) -> Prefill:
        """Choose, from the first on, the prompts to prefill together; at least one, at most the free slots."""

    def enter(self, prefill: Prefill) -> Tensor | None:
        """Do a part of a prefill. Once it is complete its prompts are the last rows, and this returns the logits
        after them, (prompts, vocabulary).

        When it raises, the other rows are either as they were or all gone.
        """

    def join(self, prompt: TokenIds) -> Tensor:
        """Prefill a prompt to its end as the last row; returns the logits after it, (vocabulary,). Raises as above."""

    def step(self, tokens: Sequence[int]) -> Tensor:
        """Append one token to every row; returns the logits after them, (rows, vocabulary)."""

    def leave(self, row: int) -> None:
        """End a row; the last row takes its number."""

    def clear(self) -> None:
        """End all rows, in whatever state an error has left them."""


class SlotBatch:
    """Many rows at once, for models whose cache is keys and values and nothing else."""

    def __init__(self, model: PreTrainedModel, slots: int, longest: int | None = None) -> None:
        """Rows of at most `longest` tokens, as many as the model can hold by default; as many tokens of prompts that
        ended are kept for those that begin alike."""
        longest = longest or context_length(model)
        self.slots = slots
        self._forward = Forward(model)
        self._packed = PackedLinears(model)
        self._cache = SlotCache(slots, longest)
        self._prefixes = Prefixes(longest)
        self.reader = Reader(model, in_parts=True, packed=self._packed)

    @property
    def rows(self) -> int:
        return len(self._cache.lengths)

    @property
    def hidden(self) -> Tensor | None:
        return _last(self._forward.hidden)

    @property
    def cache_bytes(self) -> int:
        """Bytes of the buffers of keys and values, used or not; 0 before the first row."""
        return self._cache.nbytes

    @property
    def packed_bytes(self) -> int:
        """Bytes of the packed copies of weights."""
        return self._packed.nbytes

    def begin(self, prompts: Sequence[TokenIds]) -> Prefill:
        prompts = prompts[: self.slots - self.rows]
        begun = self._prefixes.find(prompts[0])
        if begun is not None:
            return Prefill(prompts[:1], begun.cache(), done=begun.tokens, given=begun.tokens)
        return Prefill(prompts[: fitting(prompts)])

    def enter(self, prefill: Prefill) -> Tensor | None:
        with self._packed:
            logits = prefill.advance(self._forward)
        if not prefill.complete:
            return None
        self._keep(prefill)  # before they are rows: if there is no memory for it, no other row suffers
        try:
            self._cache.join(prefill.cache, prefill.lengths)
        except Exception:  # some layers may have moved and others not
            self._cache.clear()
            raise
        return logits

    def _keep(self, prefill: Prefill) -> None:
        """For the next prompts that begin like these."""
        for row, prompt in enumerate(prefill.prompts):
            self._prefixes.keep(prompt, states_of(prefill.cache, row, len(prompt)))

    def join(self, prompt: TokenIds) -> Tensor:
        return _join(self, prompt)

    def step(self, tokens: Sequence[int]) -> Tensor:
        self._cache.make_room()
        lengths = torch.tensor(self._cache.lengths)
        with self._packed:
            logits, _ = self._forward(
                [[token] for token in tokens], self._cache, positions=lengths[:, None], mask=_padding(lengths)
            )
        self._cache.advance()
        return logits[:, -1]

    def leave(self, row: int) -> None:
        self._cache.leave(row)

    def clear(self) -> None:
        self._cache.clear()
        self._prefixes.clear()


class LoneBatch:
    """At most one row, with whatever cache the model builds: recurrent states, convolutions, shared layers."""

    slots = 1

    def __init__(self, model: PreTrainedModel) -> None:
        self._forward = Forward(model)
        self._cache: Cache | None = None
        self.reader = Reader(model, in_parts=False)

    @property
    def rows(self) -> int:
        return int(self._cache is not None)

    @property
    def hidden(self) -> Tensor | None:
        return _last(self._forward.hidden)

    def begin(self, prompts: Sequence[TokenIds]) -> Prefill:
        return Prefill(prompts[:1])

    def enter(self, prefill: Prefill) -> Tensor | None:
        """All at once: not every state can be carried from part to part."""
        logits, self._cache = self._forward([list(prefill.prompts[0])], None)
        prefill.done = prefill.width
        return logits[:, -1]

    def join(self, prompt: TokenIds) -> Tensor:
        return _join(self, prompt)

    def step(self, tokens: Sequence[int]) -> Tensor:
        logits, self._cache = self._forward([list(tokens)], self._cache)
        return logits[:, -1]

    def leave(self, row: int) -> None:
        self._cache = None

    def clear(self) -> None:
        self._cache = None


def can_share_steps(model: PreTrainedModel) -> bool:
    """Whether the model's cache, as transformers would build it, is keys and values and nothing else."""
    layers = DynamicCache(config=model.config).layers
    return Forward(model).takes_positions and all(type(layer) in PLAIN_LAYERS for layer in layers)


def _join(batch: Batch, prompt: TokenIds) -> Tensor:
    prefill = batch.begin([prompt])
    while (logits := batch.enter(prefill)) is None:
        pass
    return logits[0]


def _last(hidden: Tensor | None) -> Tensor | None:
    return None if hidden is None else hidden[:, -1]


def _padding(lengths: Tensor) -> Tensor | None:
    """The mask of a step, (rows, columns) bool; None where all rows are equally long."""
    starts = lengths.max() - lengths
    if not starts.any():
        return None
    return torch.arange(int(lengths.max()) + 1) >= starts[:, None]
