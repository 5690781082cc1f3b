"""The node's log on disk: an entry has its index, durably, before anything is signed about it.

SQLite in WAL mode with full synchronisation. One row, `head`, is compared and swapped with every commit, so
that two writers cannot both extend the log. Appends that arrive together are committed together.
"""

import fcntl
import logging
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio

from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import InvalidReceipt, Misconfigured
from tallynet.protocol.leaf import Leaf
from tallynet.protocol.merkle import Tree
from tallynet.protocol.units import Address, Digest, JobId, Seconds

log = logging.getLogger(__name__)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS identity (id INTEGER PRIMARY KEY CHECK (id = 1), name TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS head (id INTEGER PRIMARY KEY CHECK (id = 1), size INTEGER NOT NULL, root BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS entries (
    position INTEGER PRIMARY KEY, leaf BLOB NOT NULL, job BLOB NOT NULL UNIQUE, anchor_by INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS answers (job BLOB PRIMARY KEY, frames BLOB NOT NULL, expires INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS begun (job BLOB PRIMARY KEY, until INTEGER NOT NULL);
"""

_KNOWN = "SELECT 1 FROM begun WHERE job = ? UNION ALL SELECT 1 FROM entries WHERE job = ?"


@dataclass(frozen=True, slots=True)
class Entry:
    """A leaf at its place."""

    index: int
    leaf: Leaf
    anchor_by: Seconds


@dataclass
class _Append:
    leaf: Leaf
    anchor_by: Seconds
    answer: bytes
    """The frames sent so far, kept for a client that comes back."""
    expires: Seconds
    index: int | None = None
    error: Misconfigured | None = field(default=None, repr=False)


@dataclass(eq=False)
class _Begin:
    job: JobId
    until: Seconds
    done: bool = False


class Journal:
    """One node's log. Made by `open_journal`."""

    def __init__(self, database: sqlite3.Connection, reader: sqlite3.Connection, path: Path) -> None:
        self._database = database
        self._reader = reader
        self._path = path
        self._thread = trio.CapacityLimiter(1)  # the connection is used by one thread at a time
        self._turn = trio.Lock()
        self._waiting: list[_Append] = []
        self._beginning: list[_Begin] = []
        self.tree = Tree()
        self.tree.extend(_leaf_hashes(database))

    @property
    def size(self) -> int:
        """Entries in the log, all durable."""
        return self.tree.size

    async def append(self, leaf: Leaf, anchor_by: Seconds, answer: bytes, expires: Seconds) -> int:
        """Make `leaf` durable and return its index; raises `Misconfigured` when the disk refuses.

        Whoever comes first commits for all who wait. When cancelled, the entry may or may not be written.
        """
        mine = _Append(leaf, anchor_by, answer, expires)
        self._waiting.append(mine)
        async with self._turn:
            if mine.index is None and mine.error is None:
                batch, self._waiting = self._waiting, []
                with trio.CancelScope(shield=True):  # a commit is never left half told
                    await self._commit(batch)
        if mine.error is not None:
            raise mine.error
        if mine.index is None:
            raise RuntimeError("an append was passed over")
        return mine.index

    async def begin(self, job: JobId, until: Seconds) -> None:
        """Remember durably, `until` it expires, that chunks of `job` may be signed from now on.

        They are in no log yet: run once more after a crash, the job would have other chunks signed, and the two
        contradict each other. Raises `Misconfigured` when the disk refuses.
        """
        mine = _Begin(job, until)
        self._beginning.append(mine)
        async with self._turn:
            if not mine.done:
                batch, self._beginning = self._beginning, []
                with trio.CancelScope(shield=True):
                    await self._mark_begun(mine, batch)

    async def _mark_begun(self, mine: _Begin, batch: list[_Begin]) -> None:
        rows = [(item.job, item.until) for item in batch]

        def insert() -> None:
            with _translated(self._path), self._database:
                self._database.executemany("INSERT OR IGNORE INTO begun VALUES (?, ?)", rows)

        try:
            await trio.to_thread.run_sync(insert, limiter=self._thread)
        except Misconfigured:
            self._beginning += [item for item in batch if item is not mine]  # the others try for themselves
            raise
        for item in batch:
            item.done = True

    async def has_begun(self, job: JobId) -> bool:
        """Whether `job` was begun and is not in the log: it runs, or it never will."""
        return bool(await self._read("SELECT 1 FROM begun WHERE job = ?", (job,)))

    def knows(self, job: JobId) -> bool:
        """Whether `job` was ever begun or logged here. Blocks for some 20 µs: a look by primary key, on a connection
        that waits for no writer; a thread would cost every new job more than that."""
        with _translated(self._path):
            return self._reader.execute(_KNOWN, (job, job)).fetchone() is not None

    async def entry(self, job: JobId) -> Entry | None:
        """Where the log tells of `job`."""
        rows = await self._read("SELECT position, leaf, anchor_by FROM entries WHERE job = ?", (job,))
        return Entry(rows[0][0], Leaf.unpack(rows[0][1]), Seconds(rows[0][2])) if rows else None

    async def answer(self, job: JobId) -> bytes | None:
        """The frames kept of a finished job, without the receipt."""
        rows = await self._read("SELECT frames FROM answers WHERE job = ?", (job,))
        return bytes(rows[0][0]) if rows else None

    async def leaves(self, start: int, count: int) -> Sequence[bytes]:
        """Packed leaves from `start` on, at most `count`."""
        rows = await self._read(
            "SELECT leaf FROM entries WHERE position >= ? ORDER BY position LIMIT ?", (start, count)
        )
        return [bytes(row[0]) for row in rows]

    async def forget_answers(self, now: Seconds) -> None:
        """Delete answers whose time is over, and jobs that have expired; the log itself keeps only commitments."""
        await self._read("DELETE FROM answers WHERE expires <= ?", (now,))
        await self._read("DELETE FROM begun WHERE until <= ?", (now,))

    async def _read(self, statement: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        def query() -> list[tuple[Any, ...]]:
            with _translated(self._path), self._database:
                return self._database.execute(statement, values).fetchall()

        return await trio.to_thread.run_sync(query, limiter=self._thread)

    async def _commit(self, batch: list[_Append]) -> None:
        """Give indices, write, and only then grow the tree; all or nothing."""
        size = self.tree.size
        hashes = [item.leaf.hash for item in batch]
        try:
            await trio.to_thread.run_sync(self._write, batch, hashes, limiter=self._thread)
        except Misconfigured as error:
            for item in batch:
                item.error = error
            return
        self.tree.extend(hashes)
        for i, item in enumerate(batch):
            item.index = size + i

    def _write(self, batch: list[_Append], hashes: Sequence[Digest]) -> None:
        """In the database's thread: swap the head, insert, synchronise, in one transaction."""
        size = self.tree.size
        root = self.tree.frontier().extend(hashes).root()
        rows = [(size + i, it.leaf.pack(), it.leaf.job, it.anchor_by) for i, it in enumerate(batch)]
        answers = [(it.leaf.job, it.answer, it.expires) for it in batch]
        with _translated(self._path), self._database:
            self._swap_head(size, size + len(batch), root)
            self._database.executemany("INSERT INTO entries VALUES (?, ?, ?, ?)", rows)
            self._database.executemany("INSERT INTO answers VALUES (?, ?, ?)", answers)
            self._database.executemany("DELETE FROM begun WHERE job = ?", [(it.leaf.job,) for it in batch])

    def _swap_head(self, old: int, new: int, root: Digest) -> None:
        swapped = self._database.execute(
            "UPDATE head SET size = ?, root = ? WHERE id = 1 AND size = ?", (new, root, old)
        )
        if swapped.rowcount != 1:
            raise Misconfigured(
                f"The log in {self._path} was extended by somebody else.",
                remedy="Stop the other node that uses this data folder; start this one again.",
            )


@contextmanager
def open_journal(folder: Path, node: Address, domain: Domain) -> Iterator[Journal]:
    """Open or make the log in `folder`. Raises `Misconfigured` when it is in use, of another node, or damaged."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / "log.sqlite"
    with _locked(folder), _translated(path), closing(sqlite3.connect(path, check_same_thread=False)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.executescript(_SCHEMA)
        _check_identity(database, path, f"{domain.chain_id}:{domain.contract.hex()}:{node.hex()}")
        with closing(sqlite3.connect(path)) as reader:
            journal = Journal(database, reader, path)
            _check_head(database, path, journal.tree)
            yield journal


def _check_identity(database: sqlite3.Connection, path: Path, name: str) -> None:
    with database:
        database.execute("INSERT OR IGNORE INTO identity VALUES (1, ?)", (name,))
        database.execute("INSERT OR IGNORE INTO head VALUES (1, 0, ?)", (Tree().root(),))
    (found,) = database.execute("SELECT name FROM identity").fetchone()
    if found != name:
        raise Misconfigured(
            f"The log in {path} belongs to {found}, not to {name} (chain:contract:node).",
            remedy="Give every node and every contract a data folder of its own.",
        )


def _check_head(database: sqlite3.Connection, path: Path, tree: Tree) -> None:
    size, root = database.execute("SELECT size, root FROM head").fetchone()
    if (size, root) != (tree.size, tree.root()):
        raise Misconfigured(
            f"The log in {path} is damaged: its head says {size} entries with root {root.hex()}, "
            f"its entries are {tree.size} with root {tree.root().hex()}.",
            remedy="Restore the whole folder, never a part of it; do not start a node on a damaged log.",
        )


def _leaf_hashes(database: sqlite3.Connection) -> Iterator[Digest]:
    for position, (index, leaf) in enumerate(database.execute("SELECT position, leaf FROM entries ORDER BY position")):
        if index != position:
            raise Misconfigured(f"The log misses entry {position}.", remedy="Restore the whole data folder.")
        try:
            yield Leaf.unpack(leaf).hash
        except InvalidReceipt as error:
            raise Misconfigured(
                f"Entry {position} of the log is damaged: {error}.", remedy="Restore the whole data folder."
            ) from error


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep every other node out of the folder; the kernel lets go when the process ends, however it ends."""
    with open(folder / "lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Misconfigured(
                f"The data folder {folder} is in use by another node.", remedy="Stop that one first."
            ) from error
        yield


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise Misconfigured(
            f"The log in {path} cannot be used: {error}.", remedy="Check the disk's space, health and permissions."
        ) from error
