"""The whole way as its users go it: a devnet in one terminal; question, proof and doubt in another.

Every command is a process. The models are the one that comes with the package, and one of each family that nodes are
most often asked for, untrained.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.devnet.processes import wait_until_gone
from tests.engine.checkpoints import FAMILIES, make_checkpoint

COMMAND = [sys.executable, "-m", "tallynet.devnet.command"]
PATIENCE_SECONDS = 120.0

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Terminal:
    """Where a user sits, with the network of `folder` and a config folder of their own."""

    folder: Path

    def run(self, *arguments: str | Path) -> tuple[int, dict[str, Any]]:
        """One command with `--json`: its exit code and what it tells."""
        done = subprocess.run(
            [*COMMAND, *map(str, arguments), "--json"],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
        )
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout.splitlines()[-1])

    @property
    def environment(self) -> dict[str, str]:
        config = {"TALLYNET_CONFIG": str(self.folder / "config"), "TALLYNET_DATA": str(self.folder / "data")}
        return {**os.environ, **config}


@contextmanager
def devnet_up(terminal: Terminal, *options: str) -> Iterator[dict[str, Any]]:
    """A devnet that is up; yields what `tallynet devnet up` tells. Ctrl-C ends it, and nothing of it is left."""
    folder = terminal.folder
    command = [*COMMAND, "devnet", "up", "--json", "--dir", str(folder), "--anchor-seconds", "1", *options]
    with (folder / "stderr").open("w") as stderr:
        process = subprocess.Popen(command, env=terminal.environment, stdout=subprocess.PIPE, stderr=stderr, text=True)
    with process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, (folder / "stderr").read_text()
            pids = _processes(folder)
            yield json.loads(line)
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE_SECONDS) == 0, (folder / "stderr").read_text()
            wait_until_gone(pids)
        finally:
            process.kill()


def _processes(folder: Path) -> list[int]:
    ready = [folder / "chain-ready.json", *folder.glob("node-*/ready.json")]
    return [json.loads(file.read_text())["pid"] for file in ready]


@pytest.mark.parametrize("family", FAMILIES)
def test_an_untrained_model_of_a_known_family_is_served_on_the_record(family: str, tmp_path: Path) -> None:
    terminal, bundle = Terminal(tmp_path), tmp_path / "a.tally"
    model = make_checkpoint(family, tmp_path / "models" / family)
    with devnet_up(terminal, "--nodes", "1", "--model", str(model)) as up:
        code, answer = terminal.run(*_question(up["model"], up["network"], bundle), "--max-tokens", "24")
        verified = terminal.run("audit", "verify", bundle, "--network", up["network"])

    assert up["model"] == answer["model"]["name"] == family
    assert (code, answer["anchored"]) == (0, True)
    assert 1 <= answer["tokens"]["completion"] <= 24
    assert_holds(verified, "anchored")
    assert_holds(terminal.run("audit", "verify", bundle, "--offline"), "logged")
    assert_damage_is_found(terminal, bundle)


def test_three_nodes_answer_sensibly_with_the_model_that_comes_along(tmp_path: Path) -> None:
    terminal, bundle = Terminal(tmp_path), tmp_path / "a.tally"
    with devnet_up(terminal, "--nodes", "3") as up:
        code, answer = terminal.run(*_question("tally-tiny", up["network"], bundle))
        verified = terminal.run("audit", "verify", bundle, "--network", up["network"])

    assert len(up["nodes"]) == 3
    assert code == 0
    assert "Tokyo" in answer["text"]
    assert answer["anchored"]
    assert_holds(verified, "anchored")
    assert_holds(terminal.run("audit", "verify", bundle, "--offline"), "logged")
    assert_damage_is_found(terminal, bundle)


def _question(model: str, network: str, bundle: Path) -> tuple[str | Path, ...]:
    return "ask", model, "What is the capital of Japan?", "--network", network, "--save", bundle


def assert_holds(verified: tuple[int, dict[str, Any]], level: str) -> None:
    """Offline the level is `logged`: that the anchor is on the chain is then the file's word."""
    code, told = verified
    assert (code, told["verdict"], told["level"]) == (0, "ok", level), told["reason"]


def assert_damage_is_found(terminal: Terminal, bundle: Path) -> None:
    """One letter of what was answered is changed, in a copy, and named as what it is."""
    damaged, text = bundle.with_name("damaged.tally"), bytearray(bundle.read_bytes())
    at = text.index(b"\nchunk ") + len(b"\nchunk ") + 8  # of its first token
    text[at] = ord("B") if text[at] == ord("A") else ord("A")
    damaged.write_bytes(text)

    code, told = terminal.run("audit", "verify", damaged, "--offline")

    assert (code, told["verdict"], told["failed_check"]) == (1, "failed", 7), told
    print(told["reason"])
