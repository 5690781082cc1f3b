"""A model's linear layers in the layout that oneDNN computes fastest with: a quarter less time for a step on a CPU.

The model itself stays as it is, for whoever else uses it: the packed copies are in force only inside a `with` block.
Their sums run in another order, so results differ from the plain ones by float noise, which the trial before serving
measures like every other difference. Only float32 on a CPU, and only models small enough to be held twice.
"""

from collections.abc import Callable
from types import TracebackType
from typing import cast

import torch
from torch import Tensor

SMALL_PARAMETERS = 500_000_000
"""Larger models wait for memory more than for arithmetic, and a second copy of them would be missed elsewhere."""

Linear = Callable[[Tensor], Tensor]


class PackedLinears:
    """`with packed:` lets the model's linear layers use the packed copies. One thread at a time."""

    def __init__(self, model: torch.nn.Module) -> None:
        """Nothing is packed where it cannot be or would not pay."""
        layers = _linears(model) if pays(model) else []
        copies = [_pack(layer.weight) for layer in layers]
        self.nbytes = sum(layer.weight.nbytes for layer in layers)
        """Of the copies, as far as their layout needs no padding."""
        self._forwards = [(layer, _packed(copy, layer.bias)) for layer, copy in zip(layers, copies, strict=True)]

    def __enter__(self) -> None:
        for layer, forward in self._forwards:
            layer.__dict__["forward"] = forward

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for layer, _ in self._forwards:
            layer.__dict__.pop("forward", None)


def pays(model: torch.nn.Module) -> bool:
    """Whether packed copies can be made of this model and are worth their memory."""
    parameters = list(model.parameters())
    plain = all(one.device.type == "cpu" and one.dtype == torch.float32 for one in parameters)
    small = sum(one.numel() for one in parameters) <= SMALL_PARAMETERS
    return plain and small and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]


def _linears(model: torch.nn.Module) -> list[torch.nn.Linear]:
    """No subclasses: they compute something else."""
    return [module for module in model.modules() if type(module) is torch.nn.Linear]


def _pack(weight: Tensor) -> Tensor:
    return cast(Tensor, torch.ops.mkldnn._reorder_linear_weight(weight.detach()))


def _packed(weight: Tensor, bias: Tensor | None) -> Linear:
    linear = torch.ops.mkldnn._linear_pointwise
    return lambda states: cast(Tensor, linear(states, weight, bias, "none", [], ""))
