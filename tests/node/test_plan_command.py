"""`tallynet node plan`: what a model needs of the memory, before it is loaded."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tallynet.engine import joint_plan
from tallynet.engine.joint_plan import PROCESS_BYTES
from tallynet.node.commands import node_app

TINY = Path(__file__).parents[2] / "devnet" / "tallynet" / "devnet" / "models" / "tally-tiny"


def test_twice_the_slots_take_twice_the_keys_and_values() -> None:
    few, many = (_plan("--slots", slots) for slots in ("4", "8"))

    assert many["kv"] == 2 * few["kv"] > 0
    assert many["weights"] == few["weights"] > 0
    assert few["total"] == sum(few[part] for part in ("weights", "packed", "kv", "prefixes", "workspace"))


def test_half_the_bytes_a_number_take_half_the_memory() -> None:
    whole, half = (_plan("--dtype", dtype) for dtype in ("float32", "bfloat16"))

    assert (whole["weights"], whole["kv"]) == (2 * half["weights"], 2 * half["kv"])


def test_several_models_are_planned_together() -> None:
    one, both = _plan("--slots", "4"), _invoke(str(TINY), str(TINY), "--slots", "4")

    assert [model["total"] for model in both["models"]] == [one["total"]] * 2
    assert both["total"] == 2 * (one["total"] + PROCESS_BYTES)


def test_models_that_do_not_fit_together_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joint_plan, "free_bytes", lambda device: 1000)

    told = _invoke(str(TINY), str(TINY), "--context", "256")
    assert told["error"]["code"] == "misconfigured"
    assert "2 models need" in told["error"]["message"]


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    assert CliRunner().invoke(node_app, ["plan", str(tmp_path)]).exit_code != 0


def _plan(*options: str) -> dict[str, Any]:
    return _invoke(str(TINY), *options)


def _invoke(*arguments: str) -> dict[str, Any]:
    shown = CliRunner().invoke(node_app, ["plan", *arguments, "--device", "cpu", "--json"])
    told: dict[str, Any] = json.loads(shown.stdout.splitlines()[-1])
    return told
