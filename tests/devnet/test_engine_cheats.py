"""Cheats of the engine layer on the model that comes with the package, each found by the replay of one run."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

from tallynet.audit.judgement import Judgement, Verdict
from tallynet.audit.replay import Bench, Terms
from tallynet.audit.thresholds import read_thresholds
from tallynet.devnet.cheats.cheat import LedgerCheat
from tallynet.devnet.cheats.engine_cheat import EngineCheat
from tallynet.devnet.cheats.engine_kinds import ENGINE
from tallynet.devnet.cheats.engine_node import ENGINE_NODES
from tallynet.devnet.cheats.engine_trial import EngineTrial
from tallynet.devnet.cheats.engine_weights import layers_of, quantised, smaller, tuned, without_last_layer
from tallynet.devnet.fixture import open_devnet
from tallynet.devnet.plan import DEFAULT_MODEL
from tallynet.engine import open_engine

QUESTION = "Tell me a story about a fox."
CERTAIN = [cheat for cheat in ENGINE if cheat.must]


def ignore(text: str) -> None:
    """Nobody watches."""


@pytest.fixture(scope="module")
def trial() -> EngineTrial:
    return EngineTrial("tally-tiny", DEFAULT_MODEL, read_thresholds(), ignore)


@pytest.mark.slow
@pytest.mark.parametrize("cheat", CERTAIN, ids=lambda cheat: cheat.kind)
def test_cheat_is_caught_on_a_single_run(trial: EngineTrial, cheat: EngineCheat) -> None:
    result = trial.try_cheat(cheat, 1, 64)

    assert result.caught == 1, result


def test_truncation_is_told_by_the_end_alone(trial: EngineTrial) -> None:
    (cheat,) = (cheat for cheat in ENGINE if cheat.kind == "truncated")

    assert trial.try_cheat(cheat, 1, 64).reason.startswith("(2) it claims to have ended by length")


@pytest.mark.slow
def test_honest_runs_never_fail(trial: EngineTrial) -> None:
    result = trial.try_honest(64)

    assert (result.failed, result.runs) == (0, 64)
    assert len(result.pairs) == 4


@pytest.mark.slow
def test_forged_groups_do_not_pass(trial: EngineTrial) -> None:
    assert [result.passed for result in trial.try_null(24)] == [0, 0, 0, 0]


# Models that are not the one promised


def first_matrix(model: PreTrainedModel) -> torch.Tensor:
    return next(module.weight for module in layers_of(model).modules() if isinstance(module, torch.nn.Linear))


def test_fewer_layers_are_fewer(trial: EngineTrial) -> None:
    model = trial.replayer.model

    assert len(layers_of(smaller(model))) == 2
    assert len(layers_of(without_last_layer(model))) == 3
    assert len(layers_of(model)) == 4


@pytest.mark.parametrize(("bits", "levels"), [(8, 255), (4, 15)])
def test_quantised_weights_have_few_levels(trial: EngineTrial, bits: int, levels: int) -> None:
    weight = first_matrix(quantised(trial.replayer.model, bits))
    group = weight[0] if bits == 8 else weight[0, :64]

    assert 2 < len(torch.unique(group)) <= levels


def test_tuning_changes_one_part_in_a_hundred(trial: EngineTrial) -> None:
    before = first_matrix(trial.replayer.model)
    after = first_matrix(tuned(trial.replayer.model))

    assert float((after - before).norm() / before.norm()) == pytest.approx(0.01, rel=0.01)


# Through a whole network


async def replay_of(folder: Path, cheat: LedgerCheat | None, **asked: Any) -> Judgement:
    """One run on a devnet in memory, and what an auditor finds."""
    engine = partial(open_engine, str(DEFAULT_MODEL))
    async with (
        open_devnet(folder, engine=engine, cheats={0: cheat} if cheat else {}) as devnet,
        devnet.client() as client,
    ):
        answer = await client.ask("tally-tiny", QUESTION, temperature=1.0, max_tokens=96, **asked)
    bench = Bench(DEFAULT_MODEL, read_thresholds(), Terms(device="cpu"))
    return bench.replay(answer.bundle(), ignore).judgement


async def test_honest_node_passes(tmp_path: Path) -> None:
    assert (await replay_of(tmp_path, None)).verdict is Verdict.PASS


@pytest.mark.slow
@pytest.mark.parametrize("node", ENGINE_NODES, ids=lambda node: node.kind)
async def test_cheating_node_fails(tmp_path: Path, node: Callable[..., Any]) -> None:
    judgement = await replay_of(tmp_path, LedgerCheat(node, honest=0))  # type: ignore[arg-type]

    assert judgement.verdict is Verdict.FAIL, judgement
