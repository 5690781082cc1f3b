"""Models that are not the one promised: fewer or coarser weights, made from the promised model itself."""

from collections.abc import Callable
from copy import deepcopy
from typing import cast

import torch
from torch import Tensor
from transformers import PreTrainedModel

GROUP = 64
"""Weights that share a scale, as int4 formats usually have it."""
Layers = list[torch.nn.Module]

LORA_RANK = 4
LORA_PART = 0.01
"""Size of the low-rank change, in parts of the matrix's own."""


def smaller(model: PreTrainedModel) -> PreTrainedModel:
    """A sibling with the first half of the layers."""
    return _with_layers(model, lambda layers: layers[: max(1, len(layers) // 2)])


def without_last_layer(model: PreTrainedModel) -> PreTrainedModel:
    return _with_layers(model, lambda layers: layers[:-1])


def quantised(model: PreTrainedModel, bits: int) -> PreTrainedModel:
    """Every matrix of the layers rounded to integers: int8 with a scale for each row, int4 with one for each GROUP."""
    return _changed(model, lambda weight, number: _rounded(weight, bits))


def tuned(model: PreTrainedModel) -> PreTrainedModel:
    """Every matrix of the layers with a random low-rank change of one part in a hundred."""
    return _changed(model, _lora)


def layers_of(model: PreTrainedModel) -> torch.nn.ModuleList:
    return cast(torch.nn.ModuleList, model.base_model.layers)


def _with_layers(model: PreTrainedModel, choose: Callable[[Layers], Layers]) -> PreTrainedModel:
    other = deepcopy(model)
    kept = torch.nn.ModuleList(choose(list(layers_of(other))))
    other.base_model.layers = kept
    other.config.num_hidden_layers = len(kept)
    return other


def _changed(model: PreTrainedModel, change: Callable[[Tensor, int], Tensor]) -> PreTrainedModel:
    other = deepcopy(model)
    with torch.no_grad():
        for number, module in enumerate(layers_of(other).modules()):
            if isinstance(module, torch.nn.Linear):
                module.weight.copy_(change(module.weight, number))
    return other


def _rounded(weight: Tensor, bits: int) -> Tensor:
    most = 2 ** (bits - 1) - 1
    width = weight.shape[1]
    group = GROUP if bits < 8 and width % GROUP == 0 else width
    parts = weight.float().view(weight.shape[0], width // group, group)
    scale = parts.abs().amax(dim=2, keepdim=True).clamp(min=1e-12) / most
    rounded: Tensor = ((parts / scale).round() * scale).view_as(weight)
    return rounded


def _lora(weight: Tensor, number: int) -> Tensor:
    noise = torch.Generator().manual_seed(number)
    left = torch.randn(weight.shape[0], LORA_RANK, generator=noise)
    right = torch.randn(LORA_RANK, weight.shape[1], generator=noise)
    change = left @ right
    size: Tensor = LORA_PART * weight.float().norm() / change.norm()
    return weight.float() + change * size
