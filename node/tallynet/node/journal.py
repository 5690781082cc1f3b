"""The node's log on disk: an entry has its index, durably, before anything is signed about it.

SQLite in WAL mode with full synchronisation. One row, `head`, is compared and swapped with every commit, so
that two writers cannot both extend the log, and looked at before every signature. Appends that arrive together are
committed together.
"""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio

from tallynet.node.log_file import (
    HeadRow,
    checked_head,
    foreign_head,
    leaf_hashes,
    open_database,
    read_head,
    swap_head,
    translated,
    unusable,
)
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.leaf import Leaf
from tallynet.protocol.merkle_tree import Tree
from tallynet.protocol.units import Address, Digest, JobId, Seconds
from tallynet.protocol.wire import HEADER_BYTES, Codec, NoConsent, Submit, decode_length

LOOK_HOLDS_SECONDS = 0.002
"""How long before a signature the guard row may have been seen: about as long as the signatures of one commit take, and
less than another process needs to open the log, not to speak of signing."""

_KEPT: Codec[Submit | NoConsent] = Codec(Submit | NoConsent)
_KNOWN = "SELECT 1 FROM begun WHERE job = ? UNION ALL SELECT 1 FROM entries WHERE job = ?"


@dataclass(frozen=True, slots=True)
class Entry:
    """A leaf at its place."""

    index: int
    leaf: Leaf
    anchor_by: Seconds


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of a job for an auditor who may draw it."""

    frame: bytes = field(repr=False)
    """The job as it was submitted, or the message that says that there is no consent."""
    expires: Seconds


@dataclass
class _Append:
    leaf: Leaf
    anchor_by: Seconds
    answer: bytes
    """The frames sent so far, kept for a client that comes back."""
    expires: Seconds
    kept: Kept | None
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
        self._looking = reader.cursor()
        self._path = path
        self._thread = trio.CapacityLimiter(1)  # the connection is used by one thread at a time
        self._turn = trio.Lock()
        self._waiting: list[_Append] = []
        self._beginning: list[_Begin] = []
        self.tree = Tree()
        self.tree.extend(leaf_hashes(database))
        self._head = checked_head(database, path, self.tree)
        self._next: HeadRow | None = None
        """What the row will be once the commit under way is done."""
        self._stopped: Misconfigured | None = None
        self._looked = float("-inf")

    @property
    def size(self) -> int:
        """Entries in the log, all durable."""
        return self.tree.size

    def check_head(self) -> None:
        """Raises `Misconfigured` unless the guard row is what this process believes, and for ever once it was not.

        Every signature about the log comes right after it, with nothing awaited between. Blocks for some 6 µs, and
        much longer while a commit is under way; so a look, as well as a commit, holds for LOOK_HOLDS_SECONDS.
        """
        if self._stopped is not None:
            raise self._stopped
        if time.monotonic() - self._looked < LOOK_HOLDS_SECONDS:
            return
        try:
            found = read_head(self._looking)
        except sqlite3.Error as error:
            raise unusable(self._path, error) from error
        if found is None or (found != self._head and found != self._next):
            self.stop(foreign_head(self._path))
            raise foreign_head(self._path)
        self._looked = time.monotonic()

    def stop(self, why: Misconfigured) -> None:
        """Sign, begin and append nothing any more: another instance of this node has been seen."""
        self._stopped = self._stopped or why

    async def append(
        self, leaf: Leaf, anchor_by: Seconds, answer: bytes, expires: Seconds, kept: Kept | None = None
    ) -> int:
        """Make `leaf` durable and return its index; raises `Misconfigured` when the disk refuses.

        `answer` is kept until it `expires`, and what `kept` says until that does.

        Whoever comes first commits for all who wait. When cancelled, the entry may or may not be written.
        """
        if self._stopped is not None:
            raise self._stopped
        mine = _Append(leaf, anchor_by, answer, expires, kept)
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
        self.check_head()
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
            with translated(self._path), self._database:
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
        with translated(self._path):
            return self._reader.execute(_KNOWN, (job, job)).fetchone() is not None

    async def entry(self, job: JobId) -> Entry | None:
        """Where the log tells of `job`."""
        rows = await self._read("SELECT position, leaf, anchor_by FROM entries WHERE job = ?", (job,))
        return Entry(rows[0][0], Leaf.unpack(rows[0][1]), Seconds(rows[0][2])) if rows else None

    async def answer(self, job: JobId) -> bytes | None:
        """The frames kept of a finished job, without the receipt."""
        rows = await self._read("SELECT frames FROM answers WHERE job = ?", (job,))
        return bytes(rows[0][0]) if rows else None

    async def kept(self, job: JobId) -> bytes | None:
        """The frame kept of a logged job for auditors."""
        rows = await self._read("SELECT kept FROM openings WHERE job = ?", (job,))
        return bytes(rows[0][0]) if rows else None

    async def leaves(self, start: int, count: int) -> Sequence[bytes]:
        """Packed leaves from `start` on, at most `count`."""
        rows = await self._read(
            "SELECT leaf FROM entries WHERE position >= ? ORDER BY position LIMIT ?", (start, count)
        )
        return [bytes(row[0]) for row in rows]

    async def forget_answers(self, now: Seconds) -> None:
        """Delete answers and openings whose time is over, and jobs that have expired; the log itself keeps only
        commitments."""
        await self._read("DELETE FROM answers WHERE expires <= ?", (now,))
        await self._read("DELETE FROM openings WHERE expires <= ?", (now,))
        await self._read("DELETE FROM begun WHERE until <= ?", (now,))

    async def _read(self, statement: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        def query() -> list[tuple[Any, ...]]:
            with translated(self._path), self._database:
                return self._database.execute(statement, values).fetchall()

        return await trio.to_thread.run_sync(query, limiter=self._thread)

    async def _commit(self, batch: list[_Append]) -> None:
        """Give indices, write, and only then grow the tree; all or nothing."""
        hashes = [item.leaf.hash for item in batch]
        try:
            self._head = await trio.to_thread.run_sync(self._write, batch, hashes, limiter=self._thread)
        except Misconfigured as error:
            for item in batch:
                item.error = error
            return
        finally:
            self._next = None
        self._looked = time.monotonic()  # the commit has compared the row
        size = self.tree.size
        self.tree.extend(hashes)
        for i, item in enumerate(batch):
            item.index = size + i

    def _write(self, batch: list[_Append], hashes: Sequence[Digest]) -> HeadRow:
        """In the database's thread: swap the head, insert, synchronise, in one transaction."""
        old = self._head
        root = self.tree.frontier().extend(hashes).root()
        new = self._next = HeadRow(old.size + len(batch), root, old.opened)
        rows = [(old.size + i, it.leaf.pack(), it.leaf.job, it.anchor_by) for i, it in enumerate(batch)]
        answers = [(it.leaf.job, it.answer, it.expires) for it in batch]
        openings = [(it.leaf.job, it.kept.frame, it.kept.expires) for it in batch if it.kept is not None]
        with translated(self._path), self._database:
            swap_head(self._database, old, new, self._path)
            self._database.executemany("INSERT INTO entries VALUES (?, ?, ?, ?)", rows)
            self._database.executemany("INSERT INTO answers VALUES (?, ?, ?)", answers)
            self._database.executemany("INSERT INTO openings VALUES (?, ?, ?)", openings)
            self._database.executemany("DELETE FROM begun WHERE job = ?", [(it.leaf.job,) for it in batch])
        return new


@contextmanager
def open_journal(folder: Path, node: Address, domain: Domain) -> Iterator[Journal]:
    """Open or make the log in `folder`.

    Raises `Misconfigured` when it is in use, of another node, a copy, or damaged.
    """
    with open_database(folder, node, domain) as (database, path), closing(sqlite3.connect(path)) as reader:
        yield Journal(database, reader, path)


def read_kept(frame: bytes) -> Submit | NoConsent:
    """What is kept of a job for auditors. Raises `InvalidFrame` for what is none."""
    decode_length(frame[:HEADER_BYTES])
    return _KEPT.decode(frame[HEADER_BYTES:])
