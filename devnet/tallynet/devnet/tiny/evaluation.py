"""Held-out accuracy of tally-tiny: greedy answers through the chat template, compared letter by letter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from random import Random
from typing import Any

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from tallynet.devnet.tiny.chat import Message, render_chat
from tallynet.devnet.tiny.corpus import FAMILIES, JUDGED
from tallynet.devnet.tiny.exchange import Exchange, draw_held_out
from tallynet.evaluation.intervals import estimate_share

LONGEST_ANSWER = 48
"""Tokens generated per question at most; the longest right answer of a judged family is shorter."""

ROWS = 48
EVALUATION_SEED = 2028
WATCHED_SEED = 2027
"""Training watches held-out questions of another seed than the final evaluation asks."""


@dataclass(frozen=True)
class Score:
    """Right answers of one task out of ``n`` and the 95 % Wilson interval of their share (all in 0..1)."""

    right: int
    n: int
    accuracy: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        """The fields by name, for JSON."""
        return asdict(self)


def score_answers(right: int, n: int) -> Score:
    """Turn a count into a ``Score``, rounded to four decimals."""
    found = estimate_share(right, n)
    return Score(right, n, round(found.value, 4), round(found.low, 4), round(found.high, 4))


def _slice_rows(prompts: Sequence[str]) -> Iterator[Sequence[str]]:
    for first in range(0, len(prompts), ROWS):
        yield prompts[first : first + ROWS]


@torch.inference_mode()
def answer_chats(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    chats: Sequence[Sequence[Message]],
    max_new_tokens: int = LONGEST_ANSWER,
) -> list[str]:
    """Answer every conversation greedily; returns one string per conversation, without special tokens."""
    generator: Any = model
    prompts = [render_chat(chat, add_generation_prompt=True) for chat in chats]
    answers: list[str] = []
    for rows in _slice_rows(prompts):
        inputs = tokenizer(list(rows), add_special_tokens=False, padding=True, return_tensors="pt")
        width = inputs["input_ids"].shape[1]
        output = generator.generate(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            max_new_tokens=max_new_tokens,
            do_sample=False,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
        answers += [str(tokenizer.decode(row[width:], skip_special_tokens=True)) for row in output]
    return answers


def ask(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, prompt: str, max_new_tokens: int) -> str:
    """Answer one prompt greedily."""
    return answer_chats(model, tokenizer, [[{"role": "user", "content": prompt}]], max_new_tokens)[0]


def count_right(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, exchanges: Sequence[Exchange]) -> int:
    """How many answers equal the expected answer exactly."""
    chats: list[list[Message]] = [[{"role": "user", "content": exchange.prompt}] for exchange in exchanges]
    answers = answer_chats(model, tokenizer, chats)
    return sum(answer == exchange.answer for answer, exchange in zip(answers, exchanges, strict=True))


def evaluate_tasks(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    count: int,
    tasks: Sequence[str] = JUDGED,
    seed: int = EVALUATION_SEED,
) -> dict[str, Score]:
    """Score up to ``count`` held-out exchanges of every task; a small task may have fewer."""
    scores = {}
    for task in tasks:
        exchanges = draw_held_out(FAMILIES[task], Random(seed), count)
        scores[task] = score_answers(count_right(model, tokenizer, exchanges), len(exchanges))
    return scores


def format_scores(scores: dict[str, dict[str, float]]) -> str:
    """A table for people; ``scores`` holds the fields of ``Score`` by task."""
    lines = [f"{'task':<12} {'accuracy':>9} {'n':>5}   95 % interval"]
    for task, score in scores.items():
        interval = f"{100 * score['low']:.1f} % to {100 * score['high']:.1f} %"
        lines.append(f"{task:<12} {100 * score['accuracy']:>7.1f} % {score['n']:>5}   {interval}")
    return "\n".join(lines)
