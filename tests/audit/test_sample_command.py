"""`tallynet audit sample` as two people give it, each with a key of his own, over libp2p and a real chain."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from tallynet.audit.commands import audit_app
from tallynet.console.network_file import write_network
from tallynet.devnet.cheats.cheat import LedgerCheat
from tallynet.devnet.cheats.engine_node import ForgedSketches
from tallynet.devnet.fixture import open_devnet
from tallynet.devnet.plan import DEFAULT_MODEL
from tallynet.devnet.world import real_world
from tallynet.engine import open_engine
from tallynet.protocol.draw import DRAW_DELAY_BLOCKS
from tallynet.protocol.units import prefixed
from tests.audit.staging import RUNNER

JOBS, HONEST, RUNS = 10, 4, 8


def audit(folder: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    """One command in a process of its own, with a home of its own: its exit code, and the object it prints."""
    environment = {**os.environ, "TALLYNET_CONFIG": str(folder / "config"), "TALLYNET_STATE": str(folder / "state")}
    ran = subprocess.run(
        [sys.executable, "-m", "tallynet.devnet.command", "audit", *arguments, "--json"],
        env=environment, capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    return ran.returncode, json.loads(ran.stdout.splitlines()[-1])


@pytest.mark.slow
async def test_two_auditors_print_the_same_sample_and_the_same_verdict(tmp_path: Path) -> None:
    engine, cheat = partial(open_engine, str(DEFAULT_MODEL)), LedgerCheat(ForgedSketches, honest=HONEST)
    async with open_devnet(tmp_path, world=real_world, engine=engine, cheats={0: cheat}) as devnet:
        async with devnet.client() as client:
            for number in range(JOBS):
                answer = await client.ask(
                    "tally-tiny", f"Tell me a story about {number} birds.", temperature=1.0, max_tokens=48,
                    audit_consent=True,
                )  # fmt: skip
            await client.wait_for_anchor(answer.bundle(), 60)
        for _ in range(DRAW_DELAY_BLOCKS):
            await devnet.world.mine()
        network, node = tmp_path / "network.json", prefixed(devnet.nodes[0].address)
        write_network(network, devnet.network)
        told = []
        for name in ("one", "other"):
            asked = partial(
                audit, tmp_path / name, "sample", node, "--model", str(DEFAULT_MODEL), "-n", str(RUNS),
                "--device", "cpu", "--network", str(network), "--report", str(tmp_path / f"{name}.json"),
            )  # fmt: skip
            told.append(await trio.to_thread.run_sync(asked))
        checked = await trio.to_thread.run_sync(
            partial(audit, tmp_path, "report", str(tmp_path / "one.json"), "--network", str(network))
        )

    (code, one), (other_code, other) = told
    assert (code, other_code) == (1, 1), told
    assert one["runs"] == other["runs"] and one["says"] == other["says"]
    assert one["auditor"] != other["auditor"]
    assert node in one["says"]
    assert one["judged"] == RUNS and one["bad"] >= RUNS - HONEST
    outcomes = {run["index"]: run["outcome"] for run in one["runs"]}
    assert all(outcome in ("pass", "suspect") for index, outcome in outcomes.items() if index < HONEST)
    assert all(outcome == "fail" for index, outcome in outcomes.items() if index >= HONEST)
    assert checked == (1, one)


def test_wrong_usage_exits_2(tmp_path: Path) -> None:
    node = prefixed(bytes(20))

    assert RUNNER.invoke(audit_app, ["sample", node]).exit_code == 2
    assert RUNNER.invoke(audit_app, ["sample", node, "--model", str(tmp_path), "--confidence", "20"]).exit_code == 2
    assert RUNNER.invoke(audit_app, ["report", str(tmp_path / "none.json")]).exit_code == 2
