"""Five steps over two models, the program killed in the middle: --resume runs nothing twice, and the file holds."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from tallynet.audit.anchoring import Chain
from tallynet.audit.flow_audit import audit_flow_offline, audit_flow_online
from tallynet.client.flow.journal import watch_journal
from tallynet.console.network_file import write_network
from tallynet.devnet.fixture import Devnet, open_devnet
from tallynet.devnet.passing import PassingEngine
from tallynet.devnet.plan import DEFAULT_MODEL
from tallynet.devnet.world import real_world
from tallynet.engine import Engine, open_engine
from tallynet.engine.engine import Generation, Piece
from tallynet.protocol.bundle_checks import State
from tallynet.protocol.flow_file import FLOW_MAGIC, parse_flow, write_flow
from tests.audit.test_verify import nowhere
from tests.engine.checkpoints import make_checkpoint
from tests.protocol.flows import changed, with_text

COMMAND = [sys.executable, "-m", "tallynet.devnet.command"]
FLOW = """
name: capitals
inputs: {country: text}
steps:
  capital: {model: tally-tiny, prompt: "What is the capital of {{ country }}?", max_tokens: 16}
  french: {model: tally-tiny, prompt: "Translate to French: {{ country }} and {{ capital }}", max_tokens: 8}
  river: {model: gpt2, prompt: "{{ capital|trim }} lies on", raw: true, max_tokens: 4, temperature: 0.8}
  merge: {model: gpt2, prompt: "{{ french }} {{ river }}", raw: true, max_tokens: 4}
  title: {model: tally-tiny, prompt: "A title for: {{ merge }}", max_tokens: 8}
"""


class HeldEngine(PassingEngine):
    """A real engine that stands still before one of its answers until it is let go."""

    def __init__(self, engine: Engine, before: int) -> None:
        super().__init__(engine)
        self._left = before
        self.reached = trio.Event()
        self.go = trio.Event()

    @asynccontextmanager
    async def stream(self, generation: Generation) -> AsyncIterator[AsyncIterator[Piece]]:
        self._left -= 1
        if self._left == 0:
            self.reached.set()
            await self.go.wait()
        async with self._inner.stream(generation) as pieces:
            yield pieces


@pytest.mark.slow
async def test_a_killed_flow_goes_on_and_runs_nothing_twice(tmp_path: Path) -> None:
    checkpoint = await trio.to_thread.run_sync(make_checkpoint, "gpt2", tmp_path / "gpt2")
    held = HeldEngine(await trio.to_thread.run_sync(open_engine, str(checkpoint)), before=2)
    tiny = await trio.to_thread.run_sync(open_engine, str(DEFAULT_MODEL))
    engines: list[Engine] = [held, tiny]
    patience = {"abandon_seconds": 600.0}
    async with open_devnet(
        tmp_path / "nodes", nodes=2, world=real_world, engine=lambda: engines.pop(), settings=patience
    ) as devnet:
        write_network(tmp_path / "network.json", devnet.network)
        (tmp_path / "flow.yaml").write_text(FLOW)
        killed = _start(tmp_path, "flow", "run", "flow.yaml", "--input", "country=Japan", "--state", "D")
        await held.reached.wait()
        killed.send_signal(signal.SIGKILL)
        assert await trio.to_thread.run_sync(killed.wait) == -signal.SIGKILL
        before = _finished(tmp_path)
        held.go.set()

        told = await _tell(tmp_path, "flow", "run", "flow.yaml", "--state", "D", "--resume", "--anchor-wait", "60")
        data = (tmp_path / "capitals.flow.tally").read_bytes()
        found = await audit_flow_online(data, Chain(devnet.ledger, nowhere))
        logged = [(await devnet.ledger.head(node.address)).size for node in devnet.nodes]

    assert before == {"capital", "french", "river"}
    assert sorted(logged) == [2, 3]
    assert "Tokyo" in told["results"]["capital"]
    assert [run["step"] for run in told["runs"]] == ["capital", "french", "river", "merge", "title"]
    assert told["anchored"] == 5
    assert found.flow is not None and found.flow.result.value == told["result"]
    assert {line.state for line in found.results} == {State.OK}
    _assert_alterations_are_named(data, devnet)


def _assert_alterations_are_named(data: bytes, devnet: Devnet) -> None:
    assert data.startswith(FLOW_MAGIC)
    for step in ("capital", "river", "merge"):
        altered = write_flow(changed(parse_flow(data).file, step, with_text))
        found = audit_flow_offline(altered, devnet.network.domain)
        assert found.failure is not None
        assert (found.failure.step, found.failure.check) == (step, 4)


def _finished(folder: Path) -> set[str]:
    with watch_journal(folder / "D") as journal:
        return {run.step for run in journal.runs()}


def _start(folder: Path, *arguments: str) -> "subprocess.Popen[bytes]":
    command = [*COMMAND, *arguments, "--json"]
    with (folder / "output").open("w") as output:
        return subprocess.Popen(command, cwd=folder, env=_environment(folder), stdout=output, stderr=output)


async def _tell(folder: Path, *arguments: str) -> dict[str, Any]:
    """What one command that ends well tells as JSON."""
    done = await trio.run_process(
        [*COMMAND, *arguments, "--json"], cwd=folder, env=_environment(folder), capture_stdout=True, check=False
    )
    told: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == 0, told
    return told


def _environment(folder: Path) -> dict[str, str]:
    places = {"TALLYNET_CONFIG": str(folder / "config"), "TALLYNET_NETWORK": str(folder / "network.json")}
    paths = os.pathsep.join(str(Path(path).resolve()) for path in sys.path if path)
    return {**os.environ, **places, "PYTHONPATH": paths}
