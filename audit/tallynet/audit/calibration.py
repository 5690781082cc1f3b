"""(6) How much honest runs differ from their replays, and how much attacks do: the ground under every threshold.

Honest runs are made in every cell of a matrix (number format, attention kernel, generations in one step, threads) and
replayed in every number format. Thresholds come from one half of the prompts and are tried on the other. Raw scores
are kept. Not covered: other machines than this one; whoever has a second kind calibrates there too.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tallynet.audit.judgement import FAIL_CHANCE, Verdict
from tallynet.audit.scores import (
    COLUMNS,
    LEAST_SLACK,
    Pairings,
    Scores,
    area,
    count_pairings,
    fit,
    power,
    split,
    verdict,
)
from tallynet.audit.tails import binomial_tail
from tallynet.audit.thresholds import FORMAT, Bound, ThresholdFile, Thresholds
from tallynet.engine.engine import Generation
from tallynet.engine.evidence import GROUP_TOKENS
from tallynet.engine.hardware import choose_hardware
from tallynet.engine.manifest import read_manifest
from tallynet.engine.observation import Claim
from tallynet.engine.rehearsal import rehearse_with
from tallynet.engine.replay import Replayer
from tallynet.protocol.commitment import seed
from tallynet.protocol.errors import InvalidJob
from tallynet.protocol.job import MILLION, Sampling
from tallynet.protocol.request import Message, Request
from tallynet.protocol.units import TokenIds, prefixed

Say = Callable[[str], None]
Attack = Callable[[Replayer, Sequence[Generation]], Sequence[Claim]]
"""Makes the dishonest claims of some jobs."""

SLOTS = (1, 8, 32)
ATTENTION = ("sdpa", "eager")
FALSE_ALARMS = 0.01
MOST_DOUBLINGS = 16
"""Estimates of tokens end at half a million."""

SAMPLINGS = (
    (0, 0, MILLION),
    (MILLION, 0, MILLION),
    (700_000, 0, 950_000),
    (MILLION, 50, MILLION),
    (1_300_000, 0, MILLION),
    (MILLION, 0, 900_000),
)
"""Temperature, top-k and top-p of the runs, in turn."""

PROMPTS = (
    "Tell me a story about a fox.", "Write a short story about a red boat.", "Count from 1 to 30.",
    "What is the capital of France?", "Translate water into French.", "Explain why the sky is blue.",
    "Once upon a time there was a small house.", "Write a Python function that adds two numbers.",
    "List five animals.", "Tell me a story about a girl and a dog.", "What is 7 plus 5?", "Describe the sea.",
    "Sort these words alphabetically: pear, apple, cherry", "Who wrote Hamlet?", "Write a poem about winter.",
    "Count down from 20.", "Tell me a story about an old clock.", "How do I boil an egg?",
    "Give three uses for paper.", "What comes after Tuesday?", "Write a story about a lost key.",
    "Name the planets.", "Translate good morning into Spanish.", "Tell me a story about a cat and the moon.",
)  # fmt: skip
"""What is asked unless other prompts are given."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One honest way to run a model."""

    dtype: str
    attention: str
    slots: int
    threads: int

    @property
    def name(self) -> str:
        return f"{self.dtype} {self.attention} {self.slots} slots {self.threads} threads"


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    dtypes: tuple[str, ...] = ("float32", "bfloat16")
    runs: int = 24
    """In every cell."""
    max_tokens: int = 96
    device: str = "cpu"

    def cells(self) -> Iterator[Cell]:
        """Every number format, kernel and width; the number of threads takes turns."""
        counts = sorted({1, min(2, os.cpu_count() or 1)})
        number = 0
        for dtype in self.dtypes:
            for attention in ATTENTION:
                for slots in SLOTS:
                    yield Cell(dtype, attention, slots, counts[number % len(counts)])
                    number += 1


def calibrate(
    directory: Path, plan: Plan, say: Say, *, attacks: dict[str, Attack] | None = None, prompts: Sequence[str] = PROMPTS
) -> ThresholdFile:
    """Measure a model. Raises `Misconfigured` for a directory that is no model."""
    model = read_manifest(directory).model_id
    auditors = {name: Replayer(directory, choose_hardware(plan.device, name)) for name in plan.dtypes}
    scores: dict[str, list[Scores]] = {}
    pairings: dict[str, Pairings] = {}
    first = next(iter(auditors.values()))
    for number, cell in enumerate(plan.cells()):
        say(f"honest runs: {cell.name}…")
        asked = jobs(first, plan.runs, plan.max_tokens, prompts, number * plan.runs)
        node = Replayer(directory, choose_hardware(plan.device, cell.dtype), attention=cell.attention)
        made = rehearse_with(node, asked, slots=cell.slots, threads=cell.threads)
        numbered = [((number * plan.runs + at) % len(prompts), claim) for at, claim in enumerate(made)]
        for name, auditor in auditors.items():
            pair = f"{cell.dtype}/{name}"
            for at, claim in numbered:
                seen = auditor.observe(claim, slack=LEAST_SLACK[_both_float32(pair)])
                scores.setdefault(pair, []).append(Scores.of(cell.name, at, claim, seen))
                count_pairings(pairings.setdefault(pair, {}), at, seen)
    pairs = {
        pair: fit(split(found)[0], pairings[pair], both_float32=_both_float32(pair)) for pair, found in scores.items()
    }
    trials = {pair: try_held_out(split(scores[pair])[1], pairs[pair]) for pair in pairs}
    found = _attack(attacks or {}, pairs, scores, auditors, plan, prompts, say)
    return ThresholdFile(
        FORMAT,
        pairs,
        {
            "model": prefixed(model),
            "name": directory.resolve().name,
            "runs": {pair: len(rows) for pair, rows in scores.items()},
            "held_out": trials,
            "attacks": found,
            "columns": list(COLUMNS),
            "scores": {pair: [one.row() for one in rows] for pair, rows in scores.items()},
            "pairings": pairings,
        },
    )


def jobs(
    replayer: Replayer, count: int, max_tokens: int, prompts: Sequence[str] = PROMPTS, offset: int = 0
) -> list[Generation]:
    """`count` jobs over the prompts and samplings in turn."""
    asked = []
    for number in range(offset, offset + count):
        heat, top_k, top_p = SAMPLINGS[(number // len(prompts) + number) % len(SAMPLINGS)]
        sampling = Sampling(max_tokens, heat, top_k, top_p)
        asked.append(Generation(_prompt(replayer, prompts[number % len(prompts)]), sampling, seed(number.to_bytes(32))))
    return asked


def _prompt(replayer: Replayer, text: str) -> TokenIds:
    """By the chat template, where the model has one."""
    try:
        return replayer.encode(Request(messages=(Message("user", text),)))
    except InvalidJob:
        return replayer.encode(Request(text=text))


def _both_float32(pair: str) -> bool:
    return pair == "float32/float32"


def try_held_out(held: Sequence[Scores], thresholds: Thresholds) -> dict[str, object]:
    """The half of the prompts that the thresholds do not come from, judged."""
    verdicts = [verdict(one, thresholds) for one in held]
    failed = verdicts.count(Verdict.FAIL)
    return {
        "runs": len(verdicts),
        "tokens": sum(one.tokens for one in held),
        "suspect": verdicts.count(Verdict.SUSPECT),
        "fail": failed,
        "fail_rate_below": None if failed or not verdicts else round(3 / len(verdicts), 5),
    }


def _attack(
    attacks: dict[str, Attack],
    pairs: dict[str, Thresholds],
    scores: dict[str, list[Scores]],
    auditors: dict[str, Replayer],
    plan: Plan,
    prompts: Sequence[str],
    say: Say,
) -> dict[str, object]:
    """Each attack against honest runs of the loosest format, judged by the auditor's first."""
    node, auditor = plan.dtypes[-1], plan.dtypes[0]
    pair, replayer, found = f"{node}/{auditor}", auditors[auditor], dict[str, object]()
    honest = split(scores[pair])[1]
    several = jobs(replayer, 2 * plan.runs, plan.max_tokens, prompts)
    asked = [job for job in several if job.sampling.temperature_millionths]
    for name, attack in attacks.items():
        say(f"attack: {name}…")
        made = attack(replayer, asked)
        rows = [
            Scores.of(name, at, claim, replayer.observe(claim, slack=pairs[pair].slack))
            for at, claim in enumerate(made)
        ]
        found[name] = {"pair": pair, **_curve(honest, rows), **tokens_needed(rows, pairs[pair])}
    return found


def _curve(honest: Sequence[Scores], attack: Sequence[Scores]) -> dict[str, object]:
    """Of every score: the area under the ROC curve and the power at one false alarm in a hundred."""
    curves = {}
    for score in ("margin", "logprob", "sketch", "z"):
        good, bad = [getattr(one, score) for one in honest], [getattr(one, score) for one in attack]
        curves[score] = {"auc": round(area(good, bad), 4), "power": round(power(good, bad, FALSE_ALARMS), 4)}
    return {"roc": curves}


def tokens_needed(attack: Sequence[Scores], thresholds: Thresholds) -> dict[str, int | None]:
    """How many tokens a node's accumulated score needs for a FAIL, by what this attack scores on average; None where
    it scores as an honest node does."""
    tokens, groups = sum(one.tokens for one in attack), sum(one.groups for one in attack)
    by = {
        "margin": _needed(sum(one.margin * one.tokens for one in attack) / tokens, thresholds.margin),
        "logprob": _needed(sum(one.logprob * one.tokens for one in attack) / tokens, thresholds.logprob),
        "mismatches": _needed_mismatches(sum(one.mismatches for one in attack) / tokens, thresholds.mismatches),
    }
    if groups:
        wanted = _needed(sum(one.sketch * one.groups for one in attack) / groups, thresholds.sketch)
        by["sketch"] = None if wanted is None else wanted * GROUP_TOKENS
    return {"tokens_by_" + name: needed for name, needed in by.items()}


def _needed(mean: float, bound: Bound) -> int | None:
    if mean <= bound.centre:
        return None
    ratio = bound.fail / (mean - bound.centre)
    return max(1, round(ratio * ratio))


def _needed_mismatches(rate: float, honest: float) -> int | None:
    for doublings in range(MOST_DOUBLINGS):
        count = GROUP_TOKENS << doublings
        if rate > honest and binomial_tail(int(rate * count), count, honest) < FAIL_CHANCE:
            return count
    return None
