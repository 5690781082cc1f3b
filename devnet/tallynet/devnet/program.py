"""One program of the devnet: a process of its own, with a log, a ready file and an end.

It runs under `tallynet.devnet.child`, so it ends when we do, however we end.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from tallynet.devnet.lifetime import POLL_SECONDS, read_ready
from tallynet.protocol.errors import TallyError

READY_SECONDS = 180.0
STOP_SECONDS = 15.0
"""How long a program may say goodbye before it is killed."""
LAST_LINES = 12


@dataclass(frozen=True, slots=True)
class Ready:
    """A program that is up."""

    pid: int
    facts: dict[str, Any]
    """What it said in its ready file."""


@dataclass
class Program:
    """`module` with its `arguments`; `fault` is the kind of error to raise when it fails."""

    name: str
    module: str
    arguments: Sequence[str]
    log: Path
    ready: Path
    fault: type[TallyError]

    async def run(self, *, task_status: trio.TaskStatus[Ready] = trio.TASK_STATUS_IGNORED) -> None:
        """Run until it ends, and then raise `fault`; reports started once it is ready. Cancelling stops it.

        Raises `fault` with the last lines of its log also when it ends early or takes over READY_SECONDS.
        """
        self.ready.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            process = await self._start(log)
            try:
                facts = await self._until_ready(process)
                task_status.started(Ready(process.pid, facts))
                code = await process.wait()
                raise self._failure(f"{self.name} {_ended(code)}")
            finally:
                await _stop(process)

    async def _start(self, log: Any) -> trio.Process:
        command = [sys.executable, "-m", "tallynet.devnet.child", self.module, *self.arguments]
        return await trio.lowlevel.open_process(
            command,
            stdin=subprocess.PIPE,  # its end is the sign for the child that we are gone
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches us alone; we pass it on
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )

    async def _until_ready(self, process: trio.Process) -> dict[str, Any]:
        with trio.move_on_after(READY_SECONDS):
            while (facts := read_ready(self.ready)) is None:
                code = process.poll()
                if code is not None:
                    raise self._failure(f"{self.name} {_ended(code)} before it was ready")
                await trio.sleep(POLL_SECONDS)
            return facts
        raise self._failure(f"{self.name} was not ready within {READY_SECONDS:g} s")

    def _failure(self, what: str) -> TallyError:
        last = self.last_lines()
        return self.fault(
            f"{what}." + (f" It last said:\n{last}" if last else ""),
            remedy=f"Read {self.log} for the whole story.",
        )

    def last_lines(self) -> str:
        """The end of its log."""
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(f"    {line}" for line in lines[-LAST_LINES:])


def _ended(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


async def _stop(process: trio.Process) -> None:
    """Ctrl-C first, SIGKILL after STOP_SECONDS; also while being cancelled."""
    with trio.CancelScope(shield=True):
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            with trio.move_on_after(STOP_SECONDS):
                await process.wait()
        if process.poll() is None:
            process.kill()
            await process.wait()
        if process.stdin:
            await process.stdin.aclose()
