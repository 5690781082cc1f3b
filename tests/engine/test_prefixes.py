"""Prompts that begin like earlier ones: found, bounded, and answered as if they were the first."""

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from tallynet.engine.batch import SlotBatch
from tallynet.engine.hardware import Hardware
from tallynet.engine.prefixes import BLOCK, LEAST_TOKENS, Prefixes, States
from tallynet.engine.weights import load_weights
from tests.engine.checkpoints import FAMILIES
from tests.engine.conftest import Directory

SYSTEM = tuple(range(10, 10 + LEAST_TOKENS))


def states(count: int) -> States:
    """Of one layer, told apart by their column."""
    column = torch.arange(count, dtype=torch.float32).expand(1, 2, 4, count).transpose(2, 3)
    return [(column, -column)]


def kept(*prompts: tuple[int, ...], capacity: int = 1000) -> Prefixes:
    prefixes = Prefixes(capacity)
    for prompt in prompts:
        prefixes.keep(prompt, states(len(prompt)))
    return prefixes


def test_shared_beginning_is_found_in_whole_blocks() -> None:
    found = kept((*SYSTEM, *[1] * BLOCK)).find((*SYSTEM, *[2] * 5))

    assert found is not None
    assert found.tokens == LEAST_TOKENS
    assert found.cache().get_seq_length() == LEAST_TOKENS
    assert torch.equal(found.states[0][0], states(LEAST_TOKENS)[0][0])


def test_a_token_is_left_to_compute() -> None:
    prompt = (*SYSTEM, *[1] * BLOCK)
    found = kept(prompt).find(prompt)

    assert found is not None
    assert found.tokens == len(prompt) - BLOCK


@pytest.mark.parametrize("prompt", [(9, *SYSTEM), SYSTEM[:40], SYSTEM], ids=["other", "short", "nothing after it"])
def test_prompt_that_shares_too_little_finds_nothing(prompt: tuple[int, ...]) -> None:
    assert kept(SYSTEM).find(prompt) is None


def test_what_was_not_used_for_longest_goes_first() -> None:
    first, second, third = (tuple([number] * LEAST_TOKENS) for number in (1, 2, 3))
    prefixes = kept(first, second, capacity=2 * LEAST_TOKENS)
    assert prefixes.find((*first, 9))
    prefixes.keep(third, states(len(third)))

    assert prefixes.tokens == 2 * LEAST_TOKENS
    assert prefixes.find((*first, 9)) and prefixes.find((*third, 9))
    assert prefixes.find((*second, 9)) is None


def test_longer_prompt_replaces_its_own_beginning() -> None:
    prefixes = kept(SYSTEM, (*SYSTEM, *[1] * BLOCK), SYSTEM)

    assert prefixes.tokens == LEAST_TOKENS + BLOCK


def test_prompt_beyond_the_capacity_is_not_kept() -> None:
    assert kept(SYSTEM, capacity=LEAST_TOKENS - 1).tokens == 0


@pytest.fixture(scope="module", params=FAMILIES)
def model(request: pytest.FixtureRequest, checkpoint: Directory) -> PreTrainedModel:
    return load_weights(checkpoint(request.param), Hardware(torch.device("cpu"), torch.float32))


def greedy_tokens(batch: SlotBatch, prompt: tuple[int, ...], count: int = 20) -> list[int]:
    with torch.inference_mode():
        logits: Tensor = batch.join(prompt)[None]
        tokens = [int(logits.argmax())]
        while len(tokens) < count:
            tokens.append(int(batch.step([tokens[-1]])[0].argmax()))
        batch.leave(0)
    return tokens


def test_answers_are_the_same_after_a_kept_beginning(model: PreTrainedModel) -> None:
    batch = SlotBatch(model, 2)
    for end in range(4):
        prompt = (*SYSTEM, *range(200 + end, 215 + end))
        begun = batch.begin([prompt])
        assert begun.given == (LEAST_TOKENS if end else 0)
        assert begun.alone is not bool(end)
        assert greedy_tokens(batch, prompt) == greedy_tokens(SlotBatch(model, 1), prompt)


def test_clearing_a_batch_forgets_all_prompts(model: PreTrainedModel) -> None:
    batch = SlotBatch(model, 2)
    greedy_tokens(batch, SYSTEM)
    batch.clear()

    assert batch.begin([(*SYSTEM, 9)]).given == 0
