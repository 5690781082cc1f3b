"""Starting and killing nodes, seen from the test; the processes come from `zygote`."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from tallynet.devnet.lifetime import POLL_SECONDS, read_ready
from tallynet.devnet.plan import Seat
from tests.e2e import zygote

READY_SECONDS = 30.0
ANSWER_SECONDS = 60.0
"""For an order; the first of them waits for the imports."""


class Launcher:
    """One zygote and its nodes; all of them end with it. Made by `open_launcher`."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self._turn = trio.Lock()
        self._heard = b""

    async def start(self, seat: Seat) -> dict[str, Any]:
        """Start the node of a seat; returns what its ready file says. Raises AssertionError when it does not come."""
        seat.ready.unlink(missing_ok=True)
        arguments = ["run", "--config", str(seat.config), "--ready", str(seat.ready)]
        await self._order({"start": arguments, "log": str(seat.log)})
        with trio.move_on_after(READY_SECONDS):
            while (facts := read_ready(seat.ready)) is None:
                await trio.sleep(POLL_SECONDS / 5)
            return facts
        raise AssertionError(f"the node is not ready after {READY_SECONDS:g} s:\n{seat.log.read_text()[-4000:]}")

    async def kill(self, pid: int) -> None:
        """SIGKILL; returns when the process is gone."""
        await self._order({"kill": pid})

    async def listen(self) -> str:
        """The next line that the zygote says."""
        stdout = self._process.stdout
        assert stdout is not None
        with trio.fail_after(ANSWER_SECONDS):
            while b"\n" not in self._heard:
                more = await stdout.receive_some()
                assert more, "the zygote has ended"
                self._heard += more
        line, _, self._heard = self._heard.partition(b"\n")
        return line.decode()

    async def _order(self, order: dict[str, object]) -> str:
        assert self._process.stdin is not None
        async with self._turn:
            await self._process.stdin.send_all(json.dumps(order).encode() + b"\n")
            return await self.listen()


@asynccontextmanager
async def open_launcher(folder: Path) -> AsyncIterator[Launcher]:
    """A launcher for the block; what the zygote itself has to say goes to `folder`."""
    with (folder / "zygote.log").open("wb") as log:
        process = await trio.lowlevel.open_process(
            [sys.executable, zygote.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
    launcher = Launcher(process)
    try:
        assert await launcher.listen() == "ready"
        yield launcher
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
            for end in (process.stdin, process.stdout):
                if end is not None:
                    await end.aclose()
