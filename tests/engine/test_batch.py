"""Rows that share steps: the same logits as alone, however they come and go."""

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import PreTrainedModel

from tallynet.engine import cache
from tallynet.engine.batch import LoneBatch, SlotBatch, can_share_steps
from tallynet.engine.hardware import Hardware
from tallynet.engine.warmup import try_out
from tallynet.engine.weights import load_weights
from tests.engine.checkpoints import FAMILIES
from tests.engine.conftest import Directory

CPU = Hardware(torch.device("cpu"), torch.float32)

ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("join"), st.integers(1, 20)), st.tuples(st.sampled_from(["step", "leave"]), st.integers(0, 9))
    ),
    max_size=16,
)


@pytest.fixture(scope="module", params=FAMILIES)
def model(request: pytest.FixtureRequest, checkpoint: Directory) -> PreTrainedModel:
    return load_weights(checkpoint(request.param), CPU)


@pytest.fixture(scope="module", autouse=True)
def narrow_buffers() -> Iterator[None]:
    """Buffers whose columns are moved after few tokens; no gradients."""
    with pytest.MonkeyPatch.context() as patch, torch.inference_mode():
        patch.setattr(cache, "SPARE", 4)
        torch.set_num_threads(1)
        yield


def logits_after(model: PreTrainedModel, tokens: list[int]) -> Tensor:
    output = model(input_ids=torch.tensor([tokens]))
    return output.logits[0, -1]  # type: ignore[no-any-return]


def assert_close(logits: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(logits, expected, rtol=0, atol=2e-4)


@settings(max_examples=6, deadline=None)
@given(actions=ACTIONS)
def test_rows_come_and_go_without_disturbing_each_other(model: PreTrainedModel, actions: list[tuple[str, int]]) -> None:
    batch, rows = SlotBatch(model, 9), list[list[int]]()
    for action, number in actions:
        if action == "join" and len(rows) < batch.slots:
            rows.append([(number * 7 + index) % 300 for index in range(number)])
            assert_close(batch.join(tuple(rows[-1])), logits_after(model, rows[-1]))
        elif action == "step" and rows:
            for row in rows:
                row.append((number + len(row)) % 300)
            logits = batch.step([row[-1] for row in rows])
            assert_close(logits, torch.stack([logits_after(model, row) for row in rows]))
        elif action == "leave" and number < len(rows):
            batch.leave(number)
            rows[number] = rows[-1]
            rows.pop()
        assert batch.rows == len(rows)


def test_one_row_alone_with_the_models_own_cache(model: PreTrainedModel) -> None:
    batch, row = LoneBatch(model), [5, 6, 7]
    assert_close(batch.join(tuple(row)), logits_after(model, row))
    for token in (8, 9):
        row.append(token)
        assert_close(batch.step([token])[0], logits_after(model, row))
    assert batch.rows == 1
    batch.leave(0)
    assert batch.rows == 0


def test_plain_caches_share_steps(model: PreTrainedModel) -> None:
    assert can_share_steps(model)
    assert isinstance(try_out(model, 3).batch, SlotBatch)


def test_models_that_differ_in_company_run_alone(model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = SlotBatch.step
    monkeypatch.setattr(SlotBatch, "step", lambda self, tokens: honest(self, tokens) * 1.01)

    batch = try_out(model, 3).batch
    assert isinstance(batch, LoneBatch)
    assert batch.slots == 1


def test_failed_join_leaves_other_rows_or_none(model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = SlotBatch(model, 2)
    batch.join((1, 2, 3))
    with pytest.raises(IndexError):
        batch.join((10_000,))
    assert batch.rows == 1

    monkeypatch.setattr(cache.SlotLayer, "put", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        batch.join((4, 5))
    assert batch.rows == 0
