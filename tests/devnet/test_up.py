"""`tallynet devnet up` as its users run it: processes that come together and go together."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tallynet.client import Client
from tallynet.console.network_file import read_network
from tallynet.protocol.keys import Key
from tests.devnet.processes import wait_until_gone

PATIENCE_SECONDS = 120.0

pytestmark = pytest.mark.slow


@contextmanager
def devnet_up(folder: Path, *options: str, nodes: int) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "tallynet.devnet.command", "devnet", "up", "--json"]
    with (
        (folder / "stderr").open("w") as stderr,
        subprocess.Popen(
            [*command, "--nodes", str(nodes), "--model", "fake", "--dir", str(folder), *options],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def until_ready(process: "subprocess.Popen[str]", folder: Path) -> dict[str, object]:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, (folder / "stderr").read_text()
    told: dict[str, object] = json.loads(line)
    return told


def processes(folder: Path) -> list[int]:
    """Everything that `up` has started."""
    ready = [folder / "chain-ready.json", *folder.glob("node-*/ready.json")]
    return [json.loads(file.read_text())["pid"] for file in ready]


def test_ctrl_c_ends_everything_well(tmp_path: Path) -> None:
    with devnet_up(tmp_path, nodes=2) as process:
        told = until_ready(process, tmp_path)
        network = read_network(tmp_path / "network.json")
        answers = [httpx.get(f"{node.http}/healthz").json() for node in network.nodes]
        pids = processes(tmp_path)
        process.send_signal(signal.SIGINT)
        code = process.wait(PATIENCE_SECONDS)

    assert code == 0
    assert told["network"] == str(tmp_path / "network.json")
    assert [node.model for node in network.nodes] == ["fake", "fake"]
    assert set(network.bootstrap) == {node.multiaddr for node in network.nodes}
    assert answers == [{"status": "ok"}] * 2
    assert len(pids) == 3
    wait_until_gone(pids)


def test_a_killed_parent_leaves_no_orphan(tmp_path: Path) -> None:
    with devnet_up(tmp_path, nodes=1) as process:
        until_ready(process, tmp_path)
        pids = processes(tmp_path)
        process.kill()

    assert len(pids) == 2
    wait_until_gone(pids)


def test_a_node_that_dies_is_reported_and_the_others_go_on(tmp_path: Path) -> None:
    with devnet_up(tmp_path, nodes=2) as process:
        until_ready(process, tmp_path)
        victim = json.loads((tmp_path / "node-2" / "ready.json").read_text())["pid"]
        os.kill(victim, signal.SIGKILL)
        wait_until_gone([victim])
        survivor = read_network(tmp_path / "network.json").nodes[0]
        answer = httpx.get(f"{survivor.http}/healthz").json()
        process.send_signal(signal.SIGTERM)
        code = process.wait(PATIENCE_SECONDS)

    said = " ".join((tmp_path / "stderr").read_text().split())
    assert answer == {"status": "ok"}
    assert code == 0
    assert "node-2 was ended by SIGKILL" in said
    assert "The other nodes go on." in said


def test_a_node_cheats_as_it_is_told(tmp_path: Path) -> None:
    with devnet_up(tmp_path, "--cheat", "node-1=double-index:1", nodes=1) as process:
        until_ready(process, tmp_path)
        with Client(tmp_path / "network.json", key=Key.generate()) as client:
            receipts = [client.ask("fake", question, max_tokens=4).receipt.receipt for question in ("One?", "Two?")]
        process.send_signal(signal.SIGINT)
        code = process.wait(PATIENCE_SECONDS)

    assert code == 0
    assert [receipt.index for receipt in receipts] == [0, 0]
    assert receipts[0].job != receipts[1].job
    assert "cheats: double-index:1" in (tmp_path / "stderr").read_text()
