"""Families of models: the tokens of `generate`, in company where the family allows it and alone where it does not."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel

from tallynet.engine.batch import Batch, LoneBatch, SlotBatch
from tallynet.engine.hardware import DTYPES, Hardware
from tallynet.engine.plan import plan_memory
from tallynet.engine.warmup import try_out
from tallynet.engine.weights import load_weights
from tests.engine.families import LONE, SHARED, make_model

CPU = torch.device("cpu")
NEW = 24
PROMPTS = ((40, 41, 42, 43), (50, 60, 70), tuple(range(100, 130)), (9,), tuple(range(200, 217)))


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    """Models as small as these get slower with more."""
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> object:
    return cache(lambda family: make_model(family, tmp_path_factory.mktemp("families") / family))


def load(directory: object, family: str, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    assert callable(directory)
    path: Path = directory(family)
    return load_weights(path, Hardware(CPU, dtype))


def generated(model: PreTrainedModel, prompt: tuple[int, ...]) -> list[int]:
    """What transformers writes."""
    ids = torch.tensor([prompt])
    written = model.generate(  # type: ignore[operator]
        ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=NEW, pad_token_id=0
    )
    tokens: list[int] = written[0, len(prompt) :].tolist()
    return tokens


def answers(batch: Batch, prompts: Sequence[tuple[int, ...]]) -> list[list[int]]:
    """Greedy answers, as many at a time as the batch has slots; each step joins at most one."""
    waiting, rows, done = list(enumerate(prompts))[::-1], list[tuple[int, list[int]]](), dict[int, list[int]]()
    with torch.inference_mode():
        while waiting or rows:
            if waiting and len(rows) < batch.slots:
                number, prompt = waiting.pop()
                rows.append((number, [int(batch.join(prompt).argmax())]))
            else:
                for (_, tokens), logits in zip(rows, batch.step([tokens[-1] for _, tokens in rows]), strict=True):
                    tokens.append(int(logits.argmax()))
            for row in reversed(range(len(rows))):
                if len(rows[row][1]) == NEW:
                    done[rows[row][0]] = rows[row][1]
                    rows[row] = rows[-1]
                    rows.pop()
                    batch.leave(row)
    return [done[number] for number in range(len(prompts))]


@pytest.mark.parametrize("family", SHARED)
def test_tokens_in_company_are_those_of_generate(family: str, directory: object) -> None:
    model = load(directory, family)
    batch = try_out(model, 3).batch

    assert isinstance(batch, SlotBatch)
    assert answers(batch, PROMPTS) == [generated(model, prompt) for prompt in PROMPTS]


@pytest.mark.parametrize("family", LONE)
def test_tokens_alone_are_those_of_generate(family: str, directory: object) -> None:
    model = load(directory, family)
    batch = try_out(model, 3).batch

    assert isinstance(batch, LoneBatch)
    assert answers(batch, PROMPTS) == [generated(model, prompt) for prompt in PROMPTS]


@pytest.mark.parametrize("family", SHARED)
def test_plan_is_what_each_family_takes(family: str, directory: object) -> None:
    assert callable(directory)
    planned, model = plan_memory(directory(family), Hardware(CPU, torch.float32), 3), load(directory, family)
    batch = try_out(model, 3, planned.context_length).batch

    assert isinstance(batch, SlotBatch)
    assert planned.weights == sum(parameter.nbytes for parameter in model.parameters())
    assert planned.kv == batch.cache_bytes


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("family", [*SHARED, *LONE])
def test_halves_load_and_write_the_same_again(family: str, dtype: str, directory: object) -> None:
    batch = try_out(load(directory, family, DTYPES[dtype]), 2).batch
    once = answers(batch, PROMPTS[:2])

    assert all(len(tokens) == NEW for tokens in once)
    assert answers(batch, PROMPTS[:2]) == once
