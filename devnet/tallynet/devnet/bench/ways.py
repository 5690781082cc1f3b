"""The ways in which transformers itself answers many requests, greedily: what our engine is compared with."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import torch
from transformers import ContinuousBatchingConfig, GenerationConfig, LlamaForCausalLM

from tallynet.devnet.bench.mixture import Asked

PADDING = 0
NO_END = -1
"""An end token that no model writes."""

BLOCKS = 64
BATCH_TOKENS = 512
"""Continuous batching with a cache and passes of the size that this work needs; left to itself it takes all the memory
there is, and is slower."""


@dataclass(frozen=True, slots=True)
class Timed:
    """What a way answered, and what it took from the first request to the last token."""

    answers: list[list[int]]
    seconds: float
    processor_seconds: float
    """Of all threads together: on a machine with other work the steadier measure."""

    @property
    def rate(self) -> float:
        """Tokens a second."""
        return sum(map(len, self.answers)) / self.seconds

    @property
    def processor_rate(self) -> float:
        """Tokens a processor second."""
        return sum(map(len, self.answers)) / self.processor_seconds


class Watch:
    """Starts when it is made."""

    def __init__(self) -> None:
        self._began = perf_counter(), process_time()

    def stop(self, answers: list[list[int]]) -> Timed:
        return Timed(answers, perf_counter() - self._began[0], process_time() - self._began[1])


def load(directory: Path) -> Any:
    """The model as transformers runs it, in float32."""
    return LlamaForCausalLM.from_pretrained(directory, dtype=torch.float32)


def one_by_one(model: Any, asked: Sequence[Asked]) -> Timed:
    """`generate`, one request after the other."""
    watch = Watch()
    return watch.stop([_generate(model, [one])[0] for one in asked])


def in_batches(model: Any, asked: Sequence[Asked], size: int) -> Timed:
    """`generate`, `size` requests at a time, each batch as long as its longest."""
    watch = Watch()
    batches = [asked[start : start + size] for start in range(0, len(asked), size)]
    return watch.stop([answer for batch in batches for answer in _generate(model, batch)])


def continuously(model: Any, asked: Sequence[Asked]) -> Timed:
    """What `generate_batch` does, with a limit for each request. Starting and stopping its manager is not counted."""
    configuration: Any = GenerationConfig
    settings = configuration(do_sample=False, eos_token_id=NO_END, pad_token_id=PADDING)
    sizes = ContinuousBatchingConfig(num_blocks=BLOCKS, max_batch_tokens=BATCH_TOKENS)
    answers: dict[str, list[int]] = {}
    with model.continuous_batching_context_manager(
        generation_config=settings, continuous_batching_config=sizes, timeout=5
    ) as manager:
        watch = Watch()
        names = [manager.add_request(list(one.prompt), max_new_tokens=one.new) for one in asked]
        while len(answers) < len(asked):
            result = manager.get_result(timeout=1)
            if result is None and not manager.is_running():
                raise RuntimeError("transformers' continuous batching ended early")
            if result is not None and result.is_finished():
                answers[result.request_id] = result.generated_tokens
        return watch.stop([answers[name] for name in names])


def _generate(model: Any, asked: Sequence[Asked]) -> list[list[int]]:
    """One call for all, padded on the left."""
    width = max(len(one.prompt) for one in asked)
    ids = torch.tensor([[*(PADDING,) * (width - len(one.prompt)), *one.prompt] for one in asked])
    mask = torch.tensor([[column >= width - len(one.prompt) for column in range(width)] for one in asked])
    longest = max(one.new for one in asked)
    written = model.generate(
        ids, attention_mask=mask.long(), do_sample=False, max_new_tokens=longest, pad_token_id=PADDING
    )
    return [row[width : width + one.new] for row, one in zip(written.tolist(), asked, strict=True)]
