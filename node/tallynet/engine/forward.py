"""One call of a transformers model: token ids in; the logits, the hidden states behind them and the grown cache out."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.cache_utils import Cache
from transformers.modeling_outputs import CausalLMOutputWithPast

RECURRENT = "cache_params"
"""What state-space models call their cache; all others say `past_key_values`."""


class Forward:
    """Leaves out what a model's `forward` does not take."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model
        self._device = model.device
        self._takes = frozenset(inspect.signature(model.forward).parameters)
        self._cache_name = RECURRENT if RECURRENT in self._takes else "past_key_values"
        self._head = Head(model)
        self.hidden: Tensor | None = None
        """The head's inputs behind the latest logits, (rows, kept, width); None for a model without a head."""

    @property
    def takes_positions(self) -> bool:
        return "position_ids" in self._takes

    def __call__(
        self,
        tokens: list[list[int]],
        cache: Cache | None,
        *,
        positions: Tensor | None = None,
        mask: Tensor | None = None,
        keep: int = 1,
    ) -> tuple[Tensor, Cache]:
        """tokens (rows, length), positions (rows, length) int64, mask (rows, columns) bool, true where a token stands.

        Returns the logits of the last `keep` positions, (rows, kept, vocabulary), and the cache.
        """
        wanted = {
            self._cache_name: cache,
            "position_ids": None if positions is None else positions.to(self._device),
            "attention_mask": None if mask is None else mask.to(self._device),
            "logits_to_keep": keep,
        }
        given = {name: value for name, value in wanted.items() if value is not None and name in self._takes}
        ids = torch.tensor(tokens, device=self._device)
        with self._head.watched():
            output = cast(CausalLMOutputWithPast, self._model(input_ids=ids, use_cache=True, return_dict=True, **given))
        self.hidden = None if self._head.seen is None else self._head.seen[:, -keep:]
        return cast(Tensor, output.logits)[:, -keep:], cast(Cache, output[self._cache_name])


class Head:
    """The last layer of a model, which makes logits of hidden states: what goes into it is seen."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._module = cast(torch.nn.Module | None, model.get_output_embeddings())  # type: ignore[no-untyped-call]
        self.seen: Tensor | None = None
        """Its latest input, (rows, positions, width); None for a model without a head."""

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Fills `seen`. The hook stays no longer than the call: several of us may share a model."""
        self.seen = None
        if self._module is None:
            yield
            return
        with self._module.register_forward_pre_hook(self._see):
            yield

    def _see(self, module: torch.nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self.seen = inputs[0]
