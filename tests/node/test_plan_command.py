"""`tallynet node plan`: what a model needs of the memory, before it is loaded."""

import json
from pathlib import Path

from typer.testing import CliRunner

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


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    assert CliRunner().invoke(node_app, ["plan", str(tmp_path)]).exit_code != 0


def _plan(*options: str) -> dict[str, int]:
    shown = CliRunner().invoke(node_app, ["plan", str(TINY), "--device", "cpu", *options, "--json"])
    told: dict[str, int] = json.loads(shown.output.splitlines()[-1])
    return told
