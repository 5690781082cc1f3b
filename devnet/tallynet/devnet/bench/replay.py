"""What it costs to check a run, and to make it checkable: CPU time, on one thread on both sides of every ratio.

Three rows without an aim show what moves the ratio: a prompt of one line, since a replay reads all of it; the threads
that the engine would choose, which wait for memory in a generation and share the arithmetic of a replay; and the
model's matrices alone, with nothing around them, which is what the machine allows (decision 25).
"""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from tallynet.devnet.bench.llamas import SIZES, TINY, Size, make_llama
from tallynet.devnet.bench.report import Row, at_most, compare
from tallynet.engine.engine import Generation
from tallynet.engine.evidence import RECORD_BYTES
from tallynet.engine.forward import Head
from tallynet.engine.hardware import choose_hardware
from tallynet.engine.observation import Claim
from tallynet.engine.rehearsal import rehearse
from tallynet.engine.replay import Replayer
from tallynet.engine.sketch import Recorder
from tallynet.engine.warmup import try_out
from tallynet.protocol.commitment import seed
from tallynet.protocol.job import MILLION, Sampling
from tallynet.protocol.units import TokenIds

PROMPT = tuple(range(3, 67))
SHORT = tuple(range(3, 19))
TOKENS = 256
PREFIX = 64
WIDE = 16
TURNS = 3
"""Generations that a replay is compared with: the machine's own speed changes within a minute."""
HOOKS = 2000
MULTIPLICATIONS = 7
SLACK = 1.0
MOST_PREFILLS = 1.2
LEAST_CHEAPER = 15.0
MOST_BYTES = 4.0
MOST_PERCENT = 1.0
Say = Callable[[str], None]


def measure_replay(folder: Path, say: Say, *, quick: bool, large: bool) -> list[Row]:
    """All rows; models go to `folder`. `quick` does everything once, small."""
    sizes = (TINY,) if quick else SIZES if large else SIZES[:1]
    return [row for size in sizes for row in _measure(size, folder, say, 1 if quick else 5)]


def _measure(size: Size, folder: Path, say: Say, rounds: int) -> list[Row]:
    say(f"a model of {size.name}…")
    replayer = Replayer(make_llama(size, folder / size.name), choose_hardware("cpu", "float32"))
    threads = try_out(replayer.model, 1).threads
    key = size.name.lower()
    with _on(1):
        rows = _compare(size, replayer, say, rounds)
        say(f"{size.name}: the same with a short prompt…")
        what = f"{size.name}: alone, prompt of {len(SHORT)}"
        rows.append(_alone(f"generation_short_prompt_{key}", what, replayer, SHORT, rounds))
    say(f"{size.name}: the same on the engine's threads…")
    with _on(threads):
        what = f"{size.name}: alone, threads {threads}"
        rows.append(_alone(f"generation_threads_{key}", what, replayer, PROMPT, rounds))
    return rows


def _compare(size: Size, replayer: Replayer, say: Say, rounds: int) -> list[Row]:
    say(f"{size.name}: generating alone…")
    alone, alone_seconds = _generate(replayer, 1)
    say(f"{size.name}: generating {WIDE} at once…")
    _, wide_seconds = _generate(replayer, WIDE)
    say(f"{size.name}: replaying…")
    pairs = [(_prefill(replayer, alone), _replay(replayer, alone, TOKENS)) for _ in range(rounds + 1)][1:]
    say(f"{size.name}: generating alone and replaying, in turns…")
    turns = [(_replay(replayer, alone, TOKENS), _generate(replayer, 1)[1]) for _ in range(min(rounds, TURNS))]
    prefix = statistics.median(_replay(replayer, alone, PREFIX) for _ in range(rounds))
    prefill, replay = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(second / first for first, second in pairs)
    key = size.name.lower()
    return [
        Row(f"replay_{key}", f"{size.name}: replay / plain prefill", replay, "s", prefill, ratio,
            f"≤ {MOST_PREFILLS}x", ratio <= MOST_PREFILLS),
        compare(f"generation_{key}", f"{size.name}: generating alone / replay", "s", turns, LEAST_CHEAPER),
        _cheaper(f"matrices_{key}", f"{size.name}: its matrices, {TOKENS} x 1 row / replay", *_matrices(replayer)),
        _cheaper(f"generation_16_{key}", f"{size.name}: of {WIDE} at once, per run", wide_seconds / WIDE, replay),
        _cheaper(f"prefix_{key}", f"{size.name}: generating / replay of {PREFIX}", alone_seconds, prefix),
        *_weigh_evidence(size, replayer, alone, rounds, alone_seconds / TOKENS, wide_seconds / (WIDE * TOKENS)),
    ]  # fmt: skip


def _weigh_evidence(
    size: Size, replayer: Replayer, claim: Claim, rounds: int, alone_seconds: float, wide_seconds: float
) -> list[Row]:
    """What it adds to a token; the seconds are those of a token, alone and of WIDE at once."""
    record, hook = _recording(replayer, claim, rounds), _watching(replayer)
    part, wide_part = 100 * (record + hook) / alone_seconds, 100 * (record + hook / WIDE) / wide_seconds
    key = size.name.lower()
    return [
        at_most(f"evidence_bytes_{key}", f"{size.name}: evidence a token", _bytes(claim), "B", MOST_BYTES),
        at_most(f"evidence_{key}", f"{size.name}: evidence of decode", part, "%", MOST_PERCENT),
        at_most(f"evidence_16_{key}", f"{size.name}: the same, {WIDE} at once", wide_part, "%", MOST_PERCENT),
    ]


def _alone(key: str, what: str, replayer: Replayer, prompt: TokenIds, rounds: int) -> Row:
    claim, generation = _generate(replayer, 1, prompt)
    replay = statistics.median(_replay(replayer, claim, TOKENS) for _ in range(rounds))
    return _cheaper(key, what, generation, replay)


@contextmanager
def _on(threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _cheaper(key: str, what: str, generation: float, replay: float) -> Row:
    return Row(key, what, generation, "s", replay, generation / replay)


def _generate(replayer: Replayer, runs: int, prompt: TokenIds = PROMPT) -> tuple[Claim, float]:
    """The first run, and the CPU seconds of all."""
    sampling = Sampling(TOKENS, MILLION)
    asked = [Generation(prompt, sampling, seed(number.to_bytes(4))) for number in range(runs)]
    began = time.process_time()
    made = rehearse(replayer.model, frozenset(), asked, slots=runs)
    return made[0], time.process_time() - began


def _replay(replayer: Replayer, claim: Claim, first: int) -> float:
    began = time.process_time()
    replayer.observe(claim, slack=SLACK, first=first)
    return time.process_time() - began


def _matrices(replayer: Replayer) -> tuple[float, float]:
    """CPU seconds of TOKENS steps of one row, and of all rows of a replay at once, in the linear layers alone."""
    linears = [module for module in replayer.model.modules() if isinstance(module, torch.nn.Linear)]
    one, all_rows = (_multiply(linears, rows) for rows in (1, len(PROMPT) + TOKENS))
    return TOKENS * one, all_rows


def _multiply(linears: list[torch.nn.Linear], rows: int) -> float:
    """Median CPU seconds of `rows` rows through each of them."""
    states, times = {width: torch.randn(rows, width) for width in {one.in_features for one in linears}}, list[float]()
    with torch.inference_mode():
        for _ in range(MULTIPLICATIONS):
            began = time.process_time()
            for linear in linears:
                linear(states[linear.in_features])
            times.append(time.process_time() - began)
    return statistics.median(times)


def _prefill(replayer: Replayer, claim: Claim) -> float:
    """What transformers itself takes for the same tokens."""
    ids = torch.tensor([[*claim.prompt, *claim.tokens]])
    began = time.process_time()
    with torch.inference_mode():
        replayer.model(input_ids=ids)
    return time.process_time() - began


def _recording(replayer: Replayer, claim: Claim, rounds: int) -> float:
    """CPU seconds a token: its part of a record.

    Measured by itself: it is too little to be seen as the difference of two generations.
    """
    generation = Generation(claim.prompt, claim.sampling, claim.seed)
    hidden = torch.randn(TOKENS, replayer.model.config.hidden_size)
    times = []
    for _ in range(20 * rounds):
        recorder = Recorder(generation)
        began = time.process_time()
        for token, state in zip(claim.tokens, hidden, strict=True):
            recorder.add(token, state, 1, False)
        times.append((time.process_time() - began) / TOKENS)
    return statistics.median(times)


def _watching(replayer: Replayer) -> float:
    """CPU seconds a step: the hook that catches the hidden states."""
    head = Head(replayer.model)
    began = time.process_time()
    for _ in range(HOOKS):
        with head.watched():
            pass
    return (time.process_time() - began) / HOOKS


def _bytes(claim: Claim) -> float:
    return RECORD_BYTES * len(claim.records) / len(claim.tokens)
