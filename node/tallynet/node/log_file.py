"""The file of a node's log: its tables, who may open it, and the one row that guards every signature.

The row `head` holds the size and root of the log, the number of times that the log was opened, and the file's place on
the disk. What a node signs it signs only while that row is what the node believes. Source: spec chapter 5, "One head".
"""

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import InvalidReceipt, Misconfigured
from tallynet.protocol.leaf import Leaf
from tallynet.protocol.merkle import EMPTY_ROOT
from tallynet.protocol.merkle_tree import Tree
from tallynet.protocol.units import Address, Digest

LOG_NAME = "log.sqlite"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS identity (id INTEGER PRIMARY KEY CHECK (id = 1), name TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS head (
    id INTEGER PRIMARY KEY CHECK (id = 1), size INTEGER NOT NULL, root BLOB NOT NULL,
    opened INTEGER NOT NULL DEFAULT 0, place INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS entries (
    position INTEGER PRIMARY KEY, leaf BLOB NOT NULL, job BLOB NOT NULL UNIQUE, anchor_by INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS answers (job BLOB PRIMARY KEY, frames BLOB NOT NULL, expires INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS openings (job BLOB PRIMARY KEY, kept BLOB NOT NULL, expires INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS begun (job BLOB PRIMARY KEY, until INTEGER NOT NULL);
"""
_ADDED = ("opened", "place")
"""Columns of `head` that logs of version 0.1 lack."""
_HEAD = "SELECT size, root, opened FROM head WHERE id = 1"


class HeadRow(NamedTuple):
    """What the guard row says."""

    size: int
    root: Digest
    opened: int
    """How often the log has been opened: another process that opens it makes this one stop."""


@contextmanager
def open_database(folder: Path, node: Address, domain: Domain) -> Iterator[tuple[sqlite3.Connection, Path]]:
    """Open or make the log in `folder`, alone, for writing.

    Raises `Misconfigured` when it is in use, of another node, a copy, or cannot be used.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / LOG_NAME
    with _locked(folder), translated(path), closing(sqlite3.connect(path, check_same_thread=False)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.executescript(_SCHEMA)
        _add_columns(database)
        _check_identity(database, path, identity_name(node, domain))
        _take_place(database, path)
        yield database, path


def adopt_log(folder: Path) -> None:
    """Take a log that was copied or restored as the one there is. Raises `Misconfigured` when there is none.

    Whoever calls this says that no other copy is in use and that there is no newer one.
    """
    path = existing_log(folder)
    with _locked(folder), translated(path), closing(sqlite3.connect(path)) as database, database:
        _add_columns(database)
        database.execute("UPDATE head SET place = ?", (_place(path),))


def existing_log(folder: Path) -> Path:
    """The log's file in a data folder; raises `Misconfigured` when there is none."""
    path = folder / LOG_NAME
    if not path.is_file():
        raise Misconfigured(
            f"There is no log in {folder}.", remedy=f"Name the data folder of a node: the one that holds {LOG_NAME}."
        )
    return path


def identity_name(node: Address, domain: Domain) -> str:
    return f"{domain.chain_id}:{domain.contract.hex()}:{node.hex()}"


def read_head(reader: sqlite3.Cursor) -> HeadRow | None:
    """The guard row, or None where there is none. Raises `sqlite3.Error`. Blocks for some 5 µs."""
    found = reader.execute(_HEAD).fetchall()  # all of it: a row left unread would keep the write-ahead log from ending
    return HeadRow._make(found[0]) if found else None


def checked_head(database: sqlite3.Connection, path: Path, tree: Tree) -> HeadRow:
    """The guard row at start; raises `Misconfigured` unless it tells of the entries that are there."""
    head = read_head(database.cursor())
    if head is None or (head.size, head.root) != (tree.size, tree.root()):
        said = f"{head.size} entries with root {head.root.hex()}" if head else "nothing"
        raise Misconfigured(
            f"The log in {path} is damaged: its head says {said}, "
            f"its entries are {tree.size} with root {tree.root().hex()}.",
            remedy="Restore the whole folder, never a part of it; do not start a node on a damaged log.",
        )
    return head


def swap_head(database: sqlite3.Connection, old: HeadRow, new: HeadRow, path: Path) -> None:
    """Compare and swap the guard row, within the caller's transaction. Raises `Misconfigured`."""
    swapped = database.execute(
        "UPDATE head SET size = ?, root = ? WHERE id = 1 AND size = ? AND root = ? AND opened = ?",
        (new.size, new.root, old.size, old.root, old.opened),
    )
    if swapped.rowcount != 1:
        raise foreign_head(path)


def foreign_head(path: Path) -> Misconfigured:
    """The guard row is not what this node believes."""
    return Misconfigured(
        f"The log in {path} was extended, opened or replaced by somebody else: nothing more is signed.",
        remedy="Stop the other node that uses this data folder; start this one again.",
    )


def leaf_hashes(database: sqlite3.Connection) -> Iterator[Digest]:
    """The hashes of all entries, in order; raises `Misconfigured` at the first that is missing or no leaf."""
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
def translated(path: Path) -> Iterator[None]:
    """What SQLite raises, as `Misconfigured`."""
    try:
        yield
    except sqlite3.Error as error:
        raise unusable(path, error) from error


def unusable(path: Path, error: sqlite3.Error) -> Misconfigured:
    return Misconfigured(
        f"The log in {path} cannot be used: {error}.", remedy="Check the disk's space, health and permissions."
    )


def _add_columns(database: sqlite3.Connection) -> None:
    there = {row[1] for row in database.execute("PRAGMA table_info(head)")}
    for column in _ADDED:
        if column not in there:
            database.execute(f"ALTER TABLE head ADD COLUMN {column} INTEGER NOT NULL DEFAULT 0")


def _check_identity(database: sqlite3.Connection, path: Path, name: str) -> None:
    with database:
        database.execute("INSERT OR IGNORE INTO identity VALUES (1, ?)", (name,))
        database.execute("INSERT OR IGNORE INTO head (id, size, root) VALUES (1, 0, ?)", (EMPTY_ROOT,))
    (found,) = database.execute("SELECT name FROM identity").fetchone()
    if found != name:
        raise Misconfigured(
            f"The log in {path} belongs to {found}, not to {name} (chain:contract:node).",
            remedy="Give every node and every contract a data folder of its own.",
        )


def _take_place(database: sqlite3.Connection, path: Path) -> None:
    """Count this opening, and see that the file is where it was: a copy of it is another file."""
    place = _place(path)
    with database:
        database.execute("UPDATE head SET place = ? WHERE place = 0", (place,))
        moved = database.execute("UPDATE head SET opened = opened + 1 WHERE place = ?", (place,)).rowcount != 1
    if moved:
        raise Misconfigured(
            f"The log in {path} is a copy: the node that wrote it may still run, or may have gone further.",
            remedy="Use the original. If it is lost for ever and no node runs on it, run "
            f"`tallynet log adopt {path.parent}`; a node that signs on an old copy loses its stake.",
        )


def _place(path: Path) -> int:
    """The number of the file on its disk: a copy has another, a file that is moved or on a disk remounted keeps it."""
    number = path.stat().st_ino & (2**63 - 1)
    return number or 1


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
