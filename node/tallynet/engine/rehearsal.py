"""Many generations at once without a server: what calibration and trials of cheats are made of.

The same batches, sampler and evidence as in `worker.py`, in one thread, to the end of all; no texts, no pieces, and no
wishes: schemas and biases are left out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from tallynet.engine.batch import LoneBatch, SlotBatch, can_share_steps
from tallynet.engine.engine import Generation
from tallynet.engine.evidence import GROUP_TOKENS, Record, SignKeys, read_records
from tallynet.engine.forward import Forward
from tallynet.engine.observation import Claim
from tallynet.engine.philox import noise_key
from tallynet.engine.replay import Replayer
from tallynet.engine.sampler import Draw, sample_rows
from tallynet.engine.sketch import Recorder, measure

Say = Callable[[int, int], None]
"""Hears how many generations of how many are done."""


@dataclass(slots=True)
class _Row:
    number: int
    generation: Generation
    recorder: Recorder
    tokens: list[int]
    logprobs: list[float]
    evidence: bytes


def rehearse(
    model: PreTrainedModel, ends: frozenset[int], asked: Sequence[Generation], *, slots: int = 1, say: Say | None = None
) -> list[Claim]:
    """Run all to an end token or their `max_tokens`, `slots` at a time, in order; one claim each."""
    batch = SlotBatch(model, slots) if can_share_steps(model) else LoneBatch(model)
    waiting, rows, done = list(enumerate(asked))[::-1], list[_Row](), dict[int, Claim]()
    with torch.inference_mode():
        while waiting or rows:
            if waiting and len(rows) < batch.slots:
                number, generation = waiting.pop()
                logits = batch.join(generation.prompt)[None]
                rows.append(_Row(number, generation, Recorder(generation), [], [], b""))
                first = len(rows) - 1
            else:
                logits, first = batch.step([row.tokens[-1] for row in rows]), 0
            _choose(rows[first:], logits, batch.hidden, ends)
            for at in reversed(range(len(rows))):
                if _ended(rows[at], ends):
                    done[rows[at].number] = _claim(rows[at])
                    rows[at] = rows[-1]
                    rows.pop()
                    batch.leave(at)
                    if say is not None:
                        say(len(done), len(asked))
    return [done[number] for number in range(len(asked))]


def rehearse_with(
    replayer: Replayer, asked: Sequence[Generation], *, slots: int = 1, threads: int = 1, say: Say | None = None
) -> list[Claim]:
    """The same with a loaded model, on so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return rehearse(replayer.model, replayer.ends, asked, slots=slots, say=say)
    finally:
        torch.set_num_threads(before)


def teach(model: PreTrainedModel, claim: Claim) -> tuple[tuple[Record, ...], tuple[float, ...]]:
    """The records and logprobs that a model has for tokens which it did not choose, by one prefill."""
    logits, hidden = prefill(model, claim)
    logprobs = logits.log_softmax(dim=1).gather(1, torch.tensor(claim.tokens)[:, None])[:, 0]
    return records_of(claim, hidden), tuple(logprobs.clamp(max=0).tolist())


def prefill(model: PreTrainedModel, claim: Claim) -> tuple[Tensor, Tensor]:
    """The logits (tokens, vocabulary) float32 and hidden states (tokens, width) behind a claim's tokens, on the CPU.

    Raises ValueError for a model without a language-model head.
    """
    with torch.inference_mode():
        forward, count = Forward(model), len(claim.tokens)
        logits, _ = forward([[*claim.prompt, *claim.tokens[:-1]]], None, keep=count)
        if forward.hidden is None:
            raise ValueError(f"{type(model).__name__} has no language-model head")
        return logits[0].float().cpu(), forward.hidden[0].cpu()


def records_of(claim: Claim, hidden: Tensor) -> tuple[Record, ...]:
    """The evidence of a claim's tokens from hidden states (tokens, width)."""
    keys = SignKeys(claim.seed, claim.prompt)
    starts = range(0, len(claim.tokens), GROUP_TOKENS)
    return tuple(
        measure(hidden[start : start + GROUP_TOKENS], keys.after(claim.tokens[start : start + GROUP_TOKENS]), 1)
        for start in starts
    )


def _choose(rows: list[_Row], logits: Tensor, hidden: Tensor | None, ends: frozenset[int]) -> None:
    """The next token of each row; logits (rows, vocabulary), hidden (rows, width)."""
    draws = [Draw(row.generation.sampling, noise_key(row.generation.seed), len(row.tokens)) for row in rows]
    for at, (row, choice) in enumerate(zip(rows, sample_rows(logits, draws), strict=True)):
        row.tokens.append(choice.token)
        row.logprobs.append(choice.logprob)
        if hidden is not None:
            row.evidence += row.recorder.add(choice.token, hidden[at].cpu(), len(rows), _ended(row, ends))


def _ended(row: _Row, ends: frozenset[int]) -> bool:
    return row.tokens[-1] in ends or len(row.tokens) == row.generation.sampling.max_tokens


def _claim(row: _Row) -> Claim:
    asked = row.generation
    return Claim(
        asked.prompt, asked.sampling, asked.seed, tuple(row.tokens), tuple(row.logprobs), read_records(row.evidence)
    )
