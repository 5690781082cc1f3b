"""Trains tally-tiny: batches of equal length, loss on the answers only, AdamW with a cosine schedule.

Conversations are grouped by length instead of packed into long rows: most are about forty tokens long, and
short rows keep attention cheap on a processor without letting one conversation see another.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from random import Random

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tallynet.devnet.tiny.chat import END, PADDING, ROLE_TOKENS
from tallynet.devnet.tiny.corpus import BROAD, FOCUSED, Weights, generate_texts
from tallynet.devnet.tiny.tokenizer import MAX_POSITIONS

POOL = 2048
IGNORED = -100
REPORT_EVERY = 50
INSPECT_EVERY = 400


@dataclass(frozen=True)
class Phase:
    """One warmup and cosine over ``steps`` optimizer steps on one mixture of the families."""

    steps: int
    learning_rate: float
    weights: Weights
    seed: int
    warmup: int = 150
    final_fraction: float = 0.02


PHASES = (
    Phase(steps=4800, learning_rate=2.5e-3, weights=BROAD, seed=17),
    Phase(steps=2000, learning_rate=1.5e-3, weights=FOCUSED, seed=18),
)


@dataclass(frozen=True)
class Recipe:
    """The knobs of one training run. ``batch_tokens`` bounds rows times columns of a batch."""

    phases: tuple[Phase, ...] = PHASES
    batch_tokens: int = 2560
    weight_decay: float = 0.05
    clip: float = 1.0
    hidden: int = 192
    layers: int = 4
    heads: int = 4
    feed_forward: int = 512
    threads: int = 2
    seed: int = 17


@dataclass(frozen=True)
class Batch:
    """Token ids and targets, both int64 of shape (rows, columns); targets are ``IGNORED`` outside answers."""

    ids: Tensor
    targets: Tensor


def build_model(recipe: Recipe, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """Build an untrained Llama in float32 with tied embeddings."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.hidden,
        intermediate_size=recipe.feed_forward,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.heads,
        max_position_embeddings=MAX_POSITIONS,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


def mark_answers(ids: list[int], assistant: int, end: int) -> list[int]:
    """Return the target of every position: the next token inside an answer, else ``IGNORED``.

    A text without any assistant turn (a bare story) is a target throughout.
    """
    speaking = assistant not in ids
    targets = []
    for current, following in zip(ids, [*ids[1:], IGNORED], strict=True):
        if current == assistant:
            speaking = True
        elif current == end:
            speaking = False
        targets.append(following if speaking else IGNORED)
    return targets


def stack_batch(rows: list[list[int]], tokenizer: PreTrainedTokenizerFast) -> Batch:
    """Pad ``rows`` on the right to the longest; causal attention never sees padding that follows."""
    vocabulary = tokenizer.get_vocab()
    assistant, end, padding = (vocabulary[token] for token in (ROLE_TOKENS["assistant"], END, PADDING))
    width = max(len(row) for row in rows)
    ids = [row + [padding] * (width - len(row)) for row in rows]
    targets = [mark_answers(row, assistant, end) + [IGNORED] * (width - len(row)) for row in rows]
    return Batch(torch.tensor(ids), torch.tensor(targets))


def generate_batches(tokenizer: PreTrainedTokenizerFast, phase: Phase, batch_tokens: int) -> Iterator[Batch]:
    """Yield batches without end from pools of ``POOL`` texts sorted by length and shuffled by batch."""
    texts, rng = generate_texts(phase.seed, phase.weights), Random(phase.seed)
    while True:
        pool = tokenizer(list(islice(texts, POOL)), add_special_tokens=False)["input_ids"]
        batches: list[list[list[int]]] = [[]]
        for row in sorted(pool, key=len):
            if (len(batches[-1]) + 1) * len(row) > batch_tokens:
                batches.append([])
            batches[-1].append(row)
        rng.shuffle(batches)
        yield from (stack_batch(batch, tokenizer) for batch in batches)


def measure_loss(model: LlamaForCausalLM, batch: Batch) -> Tensor:
    """Mean cross-entropy over the answer tokens; the output layer runs on those positions only."""
    hidden = model.model(input_ids=batch.ids, use_cache=False).last_hidden_state
    wanted = batch.targets != IGNORED
    return cross_entropy(model.lm_head(hidden[wanted]), batch.targets[wanted])


def scale_rate(step: int, phase: Phase) -> float:
    """Linear warmup, then a cosine from 1 to ``final_fraction`` at the last step."""
    if step < phase.warmup:
        return (step + 1) / phase.warmup
    progress = (step - phase.warmup) / max(1, phase.steps - phase.warmup)
    return phase.final_fraction + (1 - phase.final_fraction) * 0.5 * (1 + math.cos(math.pi * progress))


def build_optimizer(model: LlamaForCausalLM, rate: float, weight_decay: float) -> torch.optim.AdamW:
    """AdamW with weight decay on matrices only."""
    matrices = [parameter for parameter in model.parameters() if parameter.dim() > 1]
    vectors = [parameter for parameter in model.parameters() if parameter.dim() <= 1]
    groups = [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98))


def train_phase(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    recipe: Recipe,
    phase: Phase,
    report: Callable[[str], None],
    inspect: Callable[[LlamaForCausalLM, int], bool],
) -> None:
    """Train ``model`` in place until the phase ends or ``inspect`` is True.

    ``report`` gets a line every ``REPORT_EVERY`` steps; ``inspect`` is called every ``INSPECT_EVERY``.
    """
    model.train()
    optimizer = build_optimizer(model, phase.learning_rate, recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: scale_rate(step, phase))
    batches = islice(generate_batches(tokenizer, phase, recipe.batch_tokens), phase.steps)
    started, tokens, losses = time.monotonic(), 0, 0.0
    for step, batch in enumerate(batches, start=1):
        loss = measure_loss(model, batch)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        tokens, losses = tokens + batch.ids.numel(), losses + loss.item()
        if step % REPORT_EVERY == 0:
            seconds = time.monotonic() - started
            report(describe_progress(step, phase.steps, losses / REPORT_EVERY, tokens, seconds))
            losses = 0.0
        if step % INSPECT_EVERY == 0 and inspect(model, step):
            break
    model.train(False)


def describe_progress(step: int, steps: int, loss: float, tokens: int, seconds: float) -> str:
    """Say in one line how far the run is; ``seconds`` is the time since its start."""
    remaining = seconds / step * (steps - step) / 60
    return f"step {step}/{steps}  loss {loss:.4f}  {tokens / seconds:.0f} tokens/s  {remaining:.1f} min left"
