"""Where rounds are played: a chain, a node, a client and a bare engine, each a process of its own.

The node and the chain are started as `tallynet devnet up` starts them. A second stage is the whole network in this
process, in memory and with FakeEngine: it shows that everything works, and its figures mean nothing.
"""

import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx
import msgspec
import trio
from rich.console import Console

from tallynet.console.network_file import NetworkFile
from tallynet.devnet.bench.players import client_player, engine_player
from tallynet.devnet.bench.workload import Outcome, Player, Round
from tallynet.devnet.board import Board
from tallynet.devnet.fixture import open_devnet
from tallynet.devnet.lifetime import read_ready
from tallynet.devnet.network import run_devnet
from tallynet.devnet.plan import Plan
from tallynet.engine import FakeEngine
from tallynet.protocol.errors import Unreachable

NODE = "node-1"
ANCHOR_SECONDS = 30.0


@dataclass(frozen=True)
class Stage:
    """Both sides, ready to play, and the node's process."""

    bare: Player
    network: Player
    ready_seconds: float
    """From the start of the node's process to its ready file and its first good `/healthz`."""
    pid: int


@asynccontextmanager
async def process_stage(folder: Path, model: str) -> AsyncIterator[Stage]:
    """One node with `model` (empty: the one that is shipped); everything ends with the block."""
    plan, board = Plan(folder, nodes=1, model=model, anchor_seconds=ANCHOR_SECONDS), _Stopwatch(Console(quiet=True))
    ready, end = trio.Event(), trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_devnet, plan, board, end.wait, lambda path, network: _tell(board, ready, network))
        await ready.wait()
        facts = read_ready(folder / NODE / "ready.json") or {}
        async with (
            _player_process("engine", plan.model_source) as bare,
            _player_process("client", str(folder / "network.json")) as network,
        ):
            yield Stage(bare, network, board.seconds[NODE], int(facts["pid"]))
        end.set()


@asynccontextmanager
async def memory_stage(folder: Path, pid: int) -> AsyncIterator[Stage]:
    """All of it here, in process `pid`, in memory, with FakeEngine."""
    engine = partial(FakeEngine, slots=16)
    async with open_devnet(folder, engine=engine) as devnet:
        client = devnet.client()
        async with engine_player(engine()) as bare, client_player(client, "fake") as network:
            yield Stage(bare, network, devnet.nodes[0].running.seconds, pid)


async def resident_megabytes(pid: int) -> float:
    """Resident memory of a process and its children, in units of 10**6 bytes."""
    command = ["ps", "-o", "rss=", "-p", str(pid), "--ppid", str(pid)]
    told = await trio.run_process(command, capture_stdout=True)
    return sum(map(int, told.stdout.split())) * 1024 / 1e6


@dataclass
class _Stopwatch(Board):
    """A board that nobody looks at, which knows how long each start took."""

    seconds: dict[str, float] = field(default_factory=dict)
    _begun: dict[str, float] = field(default_factory=dict)

    def start(self, what: str) -> None:
        super().start(what)
        self._begun[what] = time.monotonic()

    def ready(self, what: str, where: str) -> None:
        super().ready(what, where)
        if what == NODE:
            httpx.get(f"{where.split()[-1]}/healthz", timeout=5).raise_for_status()
        self.seconds[what] = time.monotonic() - self._begun[what]


def _tell(board: Board, ready: trio.Event, network: NetworkFile) -> None:
    ready.set()


@asynccontextmanager
async def _player_process(what: str, where: str) -> AsyncIterator[Player]:
    """One side in a process of its own; it ends when its input does."""
    command = [sys.executable, "-m", "tallynet.devnet.bench.players", what, where]
    process = await trio.lowlevel.open_process(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        line = _Lines(process)
        await line.read()
        yield line.play
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


@dataclass
class _Lines:
    """Rounds to a player's process, outcomes from it."""

    process: trio.Process
    _unread: bytes = b""

    async def play(self, this: Round) -> Outcome:
        if self.process.stdin is None:
            raise RuntimeError("the process was started without a pipe")
        await self.process.stdin.send_all(msgspec.json.encode(this) + b"\n")
        return msgspec.json.decode(await self.read(), type=Outcome)

    async def read(self) -> bytes:
        """One line. Raises `Unreachable` when the process ends before it."""
        if self.process.stdout is None:
            raise RuntimeError("the process was started without a pipe")
        while b"\n" not in self._unread:
            more = await self.process.stdout.receive_some()
            if not more:
                raise Unreachable("one side of the benchmark ended early", remedy="Read what it said above.")
            self._unread += more
        line, _, self._unread = self._unread.partition(b"\n")
        return line
