"""What is tried before strangers are served: whether rows may share steps, how many threads pay, how fast it is."""

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from tallynet.engine.batch import Batch, LoneBatch, SlotBatch, can_share_steps
from tallynet.engine.packing import SMALL_PARAMETERS
from tallynet.engine.seq2seq import Seq2SeqBatch
from tallynet.protocol.errors import Misconfigured

log = logging.getLogger(__name__)

PROMPTS = ((1, 2, 3), (4, 5, 6, 7, 8, 9, 10))
"""Of different lengths, so that one of them is padded."""

TRIAL_COLUMNS = 16

TOLERANCES = {torch.float32: 1e-3, torch.float16: 0.02, torch.bfloat16: 0.1}
"""Largest honest difference between a row's logits alone and in company, relative to the largest logit."""

STEPS = 8
STEP_SECONDS = 1.0
"""A measurement ends after this many steps, or after this time."""

THREADS = torch.get_num_threads()
"""The most threads: torch's own choice, the number of physical cores."""

WORTHWHILE = 0.8
"""More threads are kept when a step then takes less than this part of the time: they also take time from others."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What was found."""

    batch: Batch
    threads: int
    """Torch threads for the thread that decodes."""
    step_seconds: float
    """The shortest decoding step of one row."""


def try_out(model: PreTrainedModel, slots: int, longest: int | None = None) -> Trial:
    """Try the model with up to `slots` rows of at most `longest` tokens; their buffers are then in place.

    Raises `Misconfigured` when it cannot decode at all.
    """
    # larger models always profit from every core, and trying would take long
    small = model.device.type == "cpu" and model.num_parameters() <= SMALL_PARAMETERS
    most = min(THREADS, torch.get_num_threads())
    torch.set_num_threads(1 if small else most)
    with torch.inference_mode():
        batch = _choose_batch(model, slots, longest)
        threads, seconds = torch.get_num_threads(), _step_seconds(batch)
        while small and threads * 2 <= most:
            torch.set_num_threads(threads * 2)
            faster = _step_seconds(batch)
            if faster > seconds * WORTHWHILE:
                break
            threads, seconds = threads * 2, faster
    torch.set_num_threads(most)
    return Trial(batch, threads, seconds)


def _choose_batch(model: PreTrainedModel, slots: int, longest: int | None) -> Batch:
    """Rows share steps where the model's cache allows it and a trial gives the same logits as alone."""
    if model.config.is_encoder_decoder:
        return _choose_seq2seq(model, slots)
    try:
        alone = [_trial_step(LoneBatch(model), [prompt])[0] for prompt in PROMPTS]
    except Exception as error:  # foreign code; whatever it raises, the model is of no use here
        raise Misconfigured(f"{type(model).__name__} cannot decode step by step: {error}") from error
    if can_share_steps(model) and _agrees(model, torch.stack(alone)):
        return SlotBatch(model, slots, longest)
    log.info("%s runs one generation at a time: its cache cannot be shared", type(model).__name__)
    return LoneBatch(model)


def _choose_seq2seq(model: PreTrainedModel, slots: int) -> Batch:
    batch = Seq2SeqBatch(model, slots)
    try:
        _trial_step(batch, PROMPTS)
    except Exception as error:  # as above
        raise Misconfigured(f"{type(model).__name__} cannot decode step by step: {error}") from error
    batch.clear()
    return batch


def _agrees(model: PreTrainedModel, alone: Tensor) -> bool:
    try:
        together = _trial_step(SlotBatch(model, len(PROMPTS), TRIAL_COLUMNS), PROMPTS)
    except Exception as error:  # as above; the answer is no
        log.debug("no shared steps", exc_info=error)
        return False
    difference = (together - alone).abs().max() / alone.abs().max()
    return bool(difference < TOLERANCES[model.dtype])


def _trial_step(batch: Batch, prompts: Iterable[tuple[int, ...]]) -> Tensor:
    tokens = [int(batch.join(prompt).argmax()) for prompt in prompts]
    return batch.step(tokens).float()


def _step_seconds(batch: Batch) -> float:
    """The shortest of a few steps of one row."""
    batch.join(PROMPTS[1])
    times: list[float] = []
    while len(times) < STEPS and sum(times) < STEP_SECONDS:
        began = time.perf_counter()
        batch.step([len(times)]).argmax().item()  # reading a number waits for the device
        times.append(time.perf_counter() - began)
    batch.leave(0)
    return min(times)
