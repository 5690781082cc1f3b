"""A log that dies while it is written, again and again: a process of its own, which forks one life after another.

`python -m tests.node.mortal FOLDER statements|opcodes|kill COUNT` prints one JSON object: how many lives ended how, how
many receipts were signed in all, and what was wrong afterwards. No thread and no loop runs in the process that forks.
"""

import json
import os
import random
import signal
import sqlite3
import struct
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NoReturn, TypeVar

import trio

from tallynet.node.fsck import check_log
from tallynet.node.journal import Journal, open_journal
from tallynet.node.log_file import LOG_NAME
from tallynet.node.signing import promise
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.leaf import LEAF_BYTES
from tallynet.protocol.units import Seconds
from tests.node.examples import DOMAIN, NODE, START, valid_leaf

NOW = START // 1000
LINES = 3
"""Jobs at the same time, so that commits are shared."""
OPCODES = 15
"""Steps of SQLite's machine between two chances to die inside a statement."""
DIED = 9
_RECORD = struct.Struct(f">{LEAF_BYTES}sQ65s")
"""Leaf, index and signature of a receipt, written down outside of the log the moment it is signed."""

Step = Callable[[], int]
T = TypeVar("T")


class Mortal(sqlite3.Connection):
    """Asks before and after whatever changes the database whether it is time to die."""

    step: Step = staticmethod(lambda: 0)

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        return self._around(super().execute, *arguments)

    def executemany(self, *arguments: Any) -> sqlite3.Cursor:
        return self._around(super().executemany, *arguments)

    def executescript(self, *arguments: Any) -> sqlite3.Cursor:
        return self._around(super().executescript, *arguments)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        """The end of a transaction: the commit."""
        return self._around(super().__exit__, kind, error, trace)

    def _around(self, what: Callable[..., T], *arguments: Any) -> T:
        Mortal.step()
        done = what(*arguments)
        Mortal.step()
        return done


class InsideStatements(sqlite3.Connection):
    """Asks every few steps of SQLite's own machine."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.set_progress_handler(Mortal.step, OPCODES)


def dying_at(point: int) -> Step:
    """Ends the process, without any goodbye, at the point of this number."""
    met = 0

    def step() -> int:
        nonlocal met
        met += 1
        if met > point:
            os._exit(DIED)
        return 0

    return step


async def work(journal: Journal, signed: int, first: int, jobs: int) -> None:
    """Begin, log and promise jobs, like a node does; each receipt is written down at once."""

    async def one(number: int) -> None:
        leaf = valid_leaf(number)
        await journal.begin(leaf.job, Seconds(NOW))
        index = await journal.append(leaf, Seconds(NOW + 3600), b"", Seconds(NOW))
        receipt = promise(journal, leaf, index, Seconds(NOW + 3600), DOMAIN, NODE)
        os.write(signed, _RECORD.pack(receipt.leaf, index, receipt.signature))

    for start in range(first, first + jobs, LINES):
        async with trio.open_nursery() as nursery:
            for number in range(start, start + LINES):
                nursery.start_soon(one, number)
    await journal.forget_answers(Seconds(NOW + 1))


def live(folder: Path, first: int, jobs: int) -> NoReturn:
    """One life, in the forked process: exits 0 when it comes to its end."""
    signed = os.open(folder / "signed", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    async def run() -> None:
        with open_journal(folder, NODE.address, DOMAIN) as journal:
            await work(journal, signed, first, jobs)

    try:
        trio.run(run)
    except BaseException as error:
        os.write(2, f"{error!r}\n".encode())
        os._exit(1)
    os._exit(0)


def receipts(folder: Path) -> list[tuple[bytes, int]]:
    """Leaf and index of all receipts that were signed in all lives."""
    data = (folder / "signed").read_bytes() if (folder / "signed").exists() else b""
    whole = len(data) // _RECORD.size * _RECORD.size  # the last may be cut: it was signed, and nobody has it
    return [(leaf, index) for leaf, index, _ in _RECORD.iter_unpack(data[:whole])]


def wrongs(folder: Path) -> Iterator[str]:
    """What is wrong with the log after a death: nothing, one hopes."""
    try:
        with open_journal(folder, NODE.address, DOMAIN) as journal:
            size = journal.size
    except Misconfigured as error:
        yield str(error)
        return
    yield from (finding.message for finding in check_log(folder, signatures=False).findings)
    with closing(sqlite3.connect(folder / LOG_NAME)) as database:
        leaves = [bytes(row[0]) for row in database.execute("SELECT leaf FROM entries ORDER BY position")]
    for leaf, index in receipts(folder):
        if index >= size or leaves[index] != leaf:
            yield f"the receipt of entry {index} is lost"


def spawn(folder: Path, first: int, jobs: int, step: Step | None, kind: type[sqlite3.Connection]) -> int:
    pid = os.fork()
    if not pid:
        if step is not None:
            Mortal.step = staticmethod(step)
            vars(sqlite3)["connect"] = partial(sqlite3.connect, factory=kind)
        live(folder, first, jobs)
    return pid


def die_everywhere(folder: Path, kind: type[sqlite3.Connection], stride: int) -> dict[str, object]:
    """A new log for every point, until a life comes to its end without meeting it."""
    found, signed = [], 0
    for lives, point in enumerate(range(0, 10**6, stride), 1):
        home = folder / str(point)
        home.mkdir()
        _, status = os.waitpid(spawn(home, 0, 2 * LINES, dying_at(point), kind), 0)
        found += [f"point {point}: {wrong}" for wrong in wrongs(home)]
        signed += len(receipts(home))
        code = os.waitstatus_to_exitcode(status)
        if code != DIED:
            return {"lives": lives, "signed": signed, "wrong": found, "last": code}
    raise RuntimeError("there is no end to it")


def die_anywhere(folder: Path, lives: int) -> dict[str, object]:
    """One log for all lives, each ended by SIGKILL at a random moment."""
    chance, found = random.Random(5), []
    for life in range(lives):
        pid = spawn(folder, 1 + 10**6 * life, 10**6 - LINES, None, sqlite3.Connection)
        time.sleep(chance.uniform(0.005, 0.08))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        found += [f"life {life}: {wrong}" for wrong in wrongs(folder)]
    indices = [index for _, index in receipts(folder)]
    doubles = len(indices) - len(set(indices))
    return {"lives": lives, "signed": len(indices), "wrong": found, "doubles": doubles}


def main() -> None:
    folder, how, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    with suppress(FileExistsError):
        folder.mkdir()
    if how == "kill":
        told = die_anywhere(folder, count)
    else:
        told = die_everywhere(folder, Mortal if how == "statements" else InsideStatements, count)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
