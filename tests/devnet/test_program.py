"""Programs as processes of their own: ready files, early ends, and no life after their parent's."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trio

from tallynet.devnet.program import Program, Ready
from tallynet.protocol.errors import ChainUnreachable
from tests.devnet.processes import PATIENCE_SECONDS, is_running, wait_until_gone


def program(folder: Path, *arguments: str, module: str = "tallynet.devnet.chain") -> Program:
    ready = folder / "ready.json"
    return Program("the chain", module, [*arguments, "--ready", str(ready)], folder / "log", ready, ChainUnreachable)


async def test_a_program_runs_until_it_is_cancelled(tmp_path: Path) -> None:
    (tmp_path / "ready.json").write_text("stale, and no JSON")

    async with trio.open_nursery() as nursery:
        ready: Ready = await nursery.start(program(tmp_path, "--port", "0").run)
        assert is_running(ready.pid)
        nursery.cancel_scope.cancel()

    assert ready.facts["rpc_url"].startswith("http://127.0.0.1:")
    assert not is_running(ready.pid)


async def test_an_early_end_is_told_with_the_last_lines_of_the_log(tmp_path: Path) -> None:
    with pytest.raises(ChainUnreachable) as failure:
        await program(tmp_path, "--port", "99999").run()

    assert "the chain ended with exit code 2 before it was ready. It last said:" in failure.value.message
    assert "Invalid value for '--port'" in failure.value.message
    assert str(tmp_path / "log") in failure.value.remedy


async def test_a_later_end_is_told_too(tmp_path: Path) -> None:
    with pytest.raises(ExceptionGroup) as failure:
        async with trio.open_nursery() as nursery:
            ready: Ready = await nursery.start(program(tmp_path, "--port", "0").run)
            os.kill(ready.pid, signal.SIGKILL)

    (error,) = failure.value.exceptions
    assert str(error).startswith("the chain was ended by SIGKILL.")  # it may not have said anything yet


def test_a_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    parent = f"""
import subprocess, sys, time
command = [sys.executable, "-m", "tallynet.devnet.child", "tallynet.devnet.chain"]
command += ["--port", "0", "--ready", {str(ready)!r}]
process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
print(process.pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        child = int(killed.stdout.readline())
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not ready.exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        killed.kill()

    wait_until_gone([child])
