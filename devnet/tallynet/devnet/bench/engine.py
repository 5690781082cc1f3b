"""All figures of the engine: the same requests answered by transformers in its ways and by ours, in one run."""

import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import trio

from tallynet.devnet.bench import ways
from tallynet.devnet.bench.mixture import Asked, mixed_requests, prefixed_requests
from tallynet.devnet.bench.random_model import SMALL, TWENTY_MILLION, write_model
from tallynet.devnet.bench.report import Row, compare
from tallynet.devnet.bench.stage import memory_stage, process_stage
from tallynet.devnet.bench.throughput import measure_large_crowd
from tallynet.devnet.bench.ways import Timed, Watch
from tallynet.engine import Engine, Generation, open_engine
from tallynet.protocol.job import Sampling
from tallynet.protocol.units import Digest

SLOTS = 32
STATIC = (8, 32)
LEAST_RATIO = 1.8
THREADS = 1
"""Torch threads of all ways: left to itself each chooses its own number, and the ratio would compare these."""
MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Measured:
    """The rows, and what they are summed up to."""

    rows: list[Row]
    ratio_vs_generate_batch: float
    """Median over the rounds of tokens a second, ours to transformers' continuous batching."""
    ratio_vs_generate_batch_processor: float
    """The same for tokens a processor second."""
    tokens_identical_to_generate: int
    """Requests with the very tokens of `generate`, of `requests`, in every round."""
    requests: int

    def summary(self) -> dict[str, object]:
        return {
            "ratio_vs_generate_batch": self.ratio_vs_generate_batch,
            "ratio_vs_generate_batch_processor": self.ratio_vs_generate_batch_processor,
            "tokens_identical_to_generate": self.tokens_identical_to_generate,
            "requests": self.requests,
        }


def measure_engine(folder: Path, say: Callable[[str], None], *, rounds: int, quick: bool) -> Measured:
    """The model goes to `folder`. `quick` does everything small; the figures then mean nothing."""
    torch.set_num_threads(THREADS)
    size = SMALL if quick else TWENTY_MILLION
    asked = mixed_requests(*((6, 120, 60) if quick else (32, 3363, 3205)), size.vocabulary)
    directory = write_model(folder / "model", size)
    model, engine = ways.load(directory), open_engine(str(directory), dtype="float32", device="cpu", slots=SLOTS)
    say("generate, one by one…")
    alone = ways.one_by_one(model, asked)
    pairs: list[tuple[Timed, Timed]] = []
    for number in range(rounds):
        say(f"generate_batch and the engine, round {number + 1} of {rounds}…")
        pairs.append((ways.continuously(model, asked), _ask(engine, asked)))
    say("static batches…")
    static = {width: ways.in_batches(model, asked, width) for width in STATIC}
    say("sampling, and prompts that begin alike…")
    ours = pairs[-1][1]
    rows = [
        compare("continuous", "engine / generate_batch", "/s", _rates(pairs), LEAST_RATIO),
        compare("continuous_processor", "the same per processor second", "/s", _processor_rates(pairs)),
        compare("one_by_one", "engine / generate", "/s", [(alone.rate, ours.rate)]),
        *(compare(f"static_{width}", f"engine / batches of {width}", "/s", [(static[width].rate, ours.rate)])
          for width in STATIC),
        compare("sampled", "sampled / greedy, both ours", "/s", [(ours.rate, _ask(engine, asked, MILLION).rate)]),
        _prefixes(engine, size.vocabulary, size.context // 2),
    ]  # fmt: skip
    identical = min(_same(timed.answers, alone.answers) for _, timed in pairs)
    return Measured(rows, _median(_rates(pairs)), _median(_processor_rates(pairs)), identical, len(asked))


def measure_network(folder: Path, rounds: int, *, quick: bool) -> Row:
    """32 clients of a node against the bare engine with the model that comes along; with `quick` in this process and
    with FakeEngine."""

    async def measure() -> Row:
        stage = memory_stage(folder, os.getpid()) if quick else process_stage(folder, "")
        async with stage as ready:
            return await measure_large_crowd(ready, rounds)

    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = str(THREADS)  # for the processes that follow
    try:
        return trio.run(measure)
    finally:
        del os.environ["OMP_NUM_THREADS"]
        if before is not None:
            os.environ["OMP_NUM_THREADS"] = before


def _ask(engine: Engine, asked: Sequence[Asked], temperature_millionths: int = 0) -> Timed:
    """All at once."""
    answers: list[list[int]] = [[] for _ in asked]

    async def read(number: int) -> None:
        sampling = Sampling(asked[number].new, temperature_millionths)
        generation = Generation(asked[number].prompt, sampling, Digest(number.to_bytes(32, "big")))
        async with engine.stream(generation) as pieces:
            async for piece in pieces:
                answers[number].extend(piece.tokens)

    async def run() -> Timed:
        async with trio.open_nursery() as nursery:
            await nursery.start(lambda task_status: engine.run(task_status=task_status))
            watch = Watch()
            async with trio.open_nursery() as readers:
                for number in range(len(asked)):
                    readers.start_soon(read, number)
            timed = watch.stop(answers)
            nursery.cancel_scope.cancel()
        return timed

    return trio.run(run)


def _prefixes(engine: Engine, vocabulary: int, shared: int) -> Row:
    """Prompts a second when all begin with the same `shared` tokens, against prompts of that length that do not."""
    differing, alike = (prefixed_requests(16, shared, 16, vocabulary, same=same) for same in (False, True))
    pairs = [(_ask(engine, differing).processor_rate, _ask(engine, alike).processor_rate)]
    return compare("shared_prefix", "prompts that begin alike / others", "/s", pairs)


def _rates(pairs: Sequence[tuple[Timed, Timed]]) -> list[tuple[float, float]]:
    return [(theirs.rate, ours.rate) for theirs, ours in pairs]


def _processor_rates(pairs: Sequence[tuple[Timed, Timed]]) -> list[tuple[float, float]]:
    return [(theirs.processor_rate, ours.processor_rate) for theirs, ours in pairs]


def _median(pairs: Sequence[tuple[float, float]]) -> float:
    return statistics.median(ours / theirs for theirs, ours in pairs)


def _same(answers: Sequence[list[int]], expected: Sequence[list[int]]) -> int:
    return sum(answer == other for answer, other in zip(answers, expected, strict=True))
