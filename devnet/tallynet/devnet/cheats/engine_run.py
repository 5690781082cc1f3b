"""All cheats of the engine layer, on the model that comes with the package and on one of random weights."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tallynet.audit.calibration import Plan, calibrate
from tallynet.audit.thresholds import read_thresholds
from tallynet.devnet.cheats.engine_cheat import EngineCheat
from tallynet.devnet.cheats.engine_jobs import make_random_model
from tallynet.devnet.cheats.engine_report import Result
from tallynet.devnet.cheats.engine_trial import EngineTrial, Say
from tallynet.devnet.plan import DEFAULT_MODEL

RANDOM = "random"


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is tried, on each model."""

    runs: int = 4
    """Of each cheat."""
    max_tokens: int = 256
    honest: int = 1024
    forged: int = 1024
    calibration: int = 16
    """Honest runs in every cell, for the thresholds of the random model."""


QUICK = Effort(runs=2, max_tokens=64, honest=32, forged=32, calibration=4)


def try_engine(cheats: Sequence[EngineCheat], folder: Path, say: Say, effort: Effort) -> list[Result]:
    """Everything; the random model is made in `folder`."""
    shipped = EngineTrial(DEFAULT_MODEL.name, DEFAULT_MODEL, read_thresholds(), say)
    results = list(_try(shipped, cheats, effort))
    directory = make_random_model(folder / RANDOM)
    limits = calibrate(directory, Plan(runs=effort.calibration, max_tokens=effort.max_tokens // 4), say)
    return results + list(_try(EngineTrial(RANDOM, directory, limits, say), cheats, effort))


def _try(trial: EngineTrial, cheats: Sequence[EngineCheat], effort: Effort) -> Iterator[Result]:
    yield trial.try_honest(effort.honest)
    for cheat in cheats:
        yield trial.try_cheat(cheat, effort.runs, effort.max_tokens)
    yield from trial.try_null(effort.forged)
