"""Packed linear layers: the same results up to float noise, only while they are asked for."""

import copy

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from tallynet.engine.hardware import Hardware
from tallynet.engine.packing import PackedLinears, pays
from tallynet.engine.weights import load_weights
from tests.engine.conftest import Directory

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model(checkpoint: Directory) -> PreTrainedModel:
    return load_weights(checkpoint("llama"), Hardware(CPU, torch.float32))


def logits_of(model: PreTrainedModel) -> Tensor:
    with torch.inference_mode():
        return model(input_ids=torch.tensor([[5, 6, 7]])).logits  # type: ignore[no-any-return]


def test_packed_layers_compute_the_same(model: PreTrainedModel) -> None:
    plain = logits_of(model)
    with PackedLinears(model):
        packed = logits_of(model)

    torch.testing.assert_close(packed, plain, rtol=0, atol=1e-4)


def test_outside_the_block_the_model_is_as_it_was(model: PreTrainedModel) -> None:
    plain, packed = logits_of(model), PackedLinears(model)
    with pytest.raises(ZeroDivisionError), packed:
        raise ZeroDivisionError

    assert torch.equal(logits_of(model), plain)
    assert not any("forward" in module.__dict__ for module in model.modules())


def test_weights_changed_in_a_copy_count(model: PreTrainedModel) -> None:
    other = copy.deepcopy(model)
    other.lm_head.weight.data.mul_(2)
    with PackedLinears(model), PackedLinears(other):
        torch.testing.assert_close(logits_of(other), 2 * logits_of(model), rtol=0, atol=1e-3)


def test_copies_are_as_large_as_the_layers(model: PreTrainedModel) -> None:
    layers = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]

    assert PackedLinears(model).nbytes == sum(layer.weight.nbytes for layer in layers) > 0


def test_halves_are_not_packed(checkpoint: Directory) -> None:
    half = load_weights(checkpoint("llama"), Hardware(CPU, torch.bfloat16))

    assert not pays(half)
    assert PackedLinears(half).nbytes == 0
