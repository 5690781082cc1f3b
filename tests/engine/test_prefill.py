"""Prompts prefilled in parts and together: bounded passes, the same logits as at once and alone."""

import pytest
import torch
from transformers import PreTrainedModel

from tallynet.engine import prefill
from tallynet.engine.forward import Forward
from tallynet.engine.hardware import Hardware
from tallynet.engine.prefill import Prefill, fitting
from tallynet.engine.weights import load_weights
from tests.engine.checkpoints import FAMILIES
from tests.engine.conftest import Directory

LONG, SHORT = tuple(range(20, 81)), tuple(range(100, 150))


@pytest.fixture(scope="module", params=FAMILIES)
def model(request: pytest.FixtureRequest, checkpoint: Directory) -> PreTrainedModel:
    return load_weights(checkpoint(request.param), Hardware(torch.device("cpu"), torch.float32))


@pytest.mark.parametrize("part", [1, 7, 64, 1000])
def test_parts_give_the_logits_of_the_whole(model: PreTrainedModel, part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefill, "PART_TOKENS", part)
    passes, together = 0, Prefill([LONG, SHORT])
    with torch.inference_mode():
        while not together.complete:
            before = together.positions
            logits = together.advance(Forward(model))
            passes += 1
            assert together.positions - before <= max(part, 2)
        expected = torch.stack([model(input_ids=torch.tensor([prompt])).logits[0, -1] for prompt in (LONG, SHORT)])

    assert passes == -(-len(LONG) // max(1, part // 2))
    torch.testing.assert_close(logits, expected, rtol=0, atol=2e-4)


def test_prompts_share_passes_while_padding_stays_small() -> None:
    assert fitting([LONG, SHORT, LONG]) == 3
    assert fitting([LONG, (1, 2, 3)]) == 1
    assert fitting([LONG, SHORT, (1, 2, 3)]) == 2


def test_a_shared_pass_is_bounded() -> None:
    assert fitting([SHORT] * 100) == prefill.PART_TOKENS // len(SHORT)
    assert fitting([tuple(range(prefill.PART_TOKENS + 1))] * 2) == 1
