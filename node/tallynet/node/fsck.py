"""The whole log, re-derived from what lies on the disk: does it still say what the node signed?

Nothing is written, and a node may go on running meanwhile: one snapshot is read. Source: spec chapter 5, "Tile log".
"""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from tallynet.network.frames import FROM_NODE
from tallynet.node.journal import read_kept
from tallynet.node.log_file import existing_log, read_head, translated
from tallynet.protocol.errors import Invalid
from tallynet.protocol.keys import check_signed_by
from tallynet.protocol.leaf import Leaf
from tallynet.protocol.merkle_tree import Tree
from tallynet.protocol.tiles import Tile, bundles, check_bundle, check_tiles, read_tile, write_tile
from tallynet.protocol.units import Digest, JobId, Seconds
from tallynet.protocol.wire import HEADER_BYTES, decode_length

MAX_FINDINGS = 100
"""Kept in a report; the rest are counted."""
PROGRESS_ENTRIES = 256

Progress = Callable[[int, int], None]
"""Told how many entries of how many have been looked at."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    check: int
    """Number of the rule in spec chapter 5."""
    entry: int | None
    message: str


@dataclass
class LogReport:
    """What was found."""

    path: Path
    identity: str = ""
    """`chain id:contract:node`."""
    entries: int = 0
    root: Digest = Digest(b"")
    """Of the entries that are there, whatever the head says."""
    signatures: int = 0
    """Clients' signatures that hold."""
    answers: int = 0
    findings: list[Finding] = field(default_factory=list)
    found: int = 0
    """All findings, those not kept included."""
    seconds: float = 0.0

    @property
    def sound(self) -> bool:
        return not self.found

    def add(self, check: int, entry: int | None, message: str) -> None:
        self.found += 1
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(Finding(check, entry, message))


def check_log(
    folder: Path, *, signatures: bool = True, deadlines: bool = False, progress: Progress | None = None
) -> LogReport:
    """Check the log in a node's data folder. Raises `Misconfigured` when there is none or it cannot be read."""
    path, began = existing_log(folder), time.perf_counter()
    report = LogReport(path)
    with _snapshot(path) as database:
        try:
            _check_file(database, report)
            tree = _check_entries(database, report, signatures, deadlines, progress)
            _check_head(database, report, tree)
            _check_files(database, report, tree)
            _check_jobs(database, report)
        except sqlite3.Error as error:
            report.add(1, None, f"SQLite cannot read on: {error}")
    report.seconds = time.perf_counter() - began
    return report


@contextmanager
def _snapshot(path: Path) -> Iterator[sqlite3.Connection]:
    """The database as it is now, for reading alone."""
    with translated(path), closing(sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode=ro", uri=True)) as database:
        database.isolation_level = None
        database.execute("BEGIN")
        yield database


def _check_file(database: sqlite3.Connection, report: LogReport) -> None:
    # (1) SQLite finds its own file whole
    for (said,) in database.execute(f"PRAGMA integrity_check({MAX_FINDINGS})"):
        if said != "ok":
            report.add(1, None, said)
    # (2) the log names its chain, contract and node
    rows = database.execute("SELECT name FROM identity").fetchall()
    report.identity = str(rows[0][0]) if rows else ""
    parts = report.identity.split(":")
    if len(parts) != 3 or not parts[0].isdecimal() or [len(part) for part in parts[1:]] != [40, 40]:
        report.add(2, None, f"the log belongs to {report.identity!r}, which is no chain:contract:node")


def _check_entries(
    database: sqlite3.Connection, report: LogReport, signatures: bool, deadlines: bool, progress: Progress | None
) -> Tree:
    """Every entry by itself and against those before it; the tree of all of them."""
    (total,) = database.execute("SELECT count(*) FROM entries").fetchone()
    hashes: list[Digest] = []
    seen: dict[JobId, int] = {}
    latest, previous = Seconds(0), -1
    rows = database.execute("SELECT position, leaf, job, anchor_by FROM entries ORDER BY position")
    for number, (position, packed, job, anchor_by) in enumerate(rows):
        # (3) entries are numbered from 0 without gaps
        if position != previous + 1:
            report.add(3, number, f"entry {position} comes after entry {previous}")
        previous = position
        leaf = _read_leaf(number, packed, report)
        if leaf is not None:
            hashes.append(leaf.hash)
            _check_job(number, leaf, job, seen, report)
            if signatures:
                _check_client(number, leaf, report)
        # (8) where it is asked for: no entry is promised earlier than the one before it
        if deadlines and anchor_by < latest:
            report.add(8, number, f"entry {number} is promised by {anchor_by}, one before it by {latest}")
        latest = max(latest, anchor_by)
        if progress is not None and (number % PROGRESS_ENTRIES == 0 or number + 1 == total):
            progress(number + 1, total)
    report.entries = total
    return Tree(hashes)


def _read_leaf(number: int, packed: bytes, report: LogReport) -> Leaf | None:
    # (4) each entry is a leaf of known form
    try:
        return Leaf.unpack(packed)
    except (Invalid, TypeError) as error:
        report.add(4, number, f"entry {number}: {error}")
        return None


def _check_job(number: int, leaf: Leaf, job: bytes, seen: dict[JobId, int], report: LogReport) -> None:
    # (5) each entry is filed under the job of its leaf
    if job != leaf.job:
        report.add(5, number, f"entry {number} is of job {leaf.job.hex()} and filed under another")
    # (6) no job has two entries
    if (first := seen.setdefault(leaf.job, number)) != number:
        report.add(6, number, f"job {leaf.job.hex()} has entries {first} and {number}")


def _check_client(number: int, leaf: Leaf, report: LogReport) -> None:
    # (7) each job was signed by its client
    try:
        check_signed_by(Digest(leaf.job), leaf.client_signature, leaf.client)
        report.signatures += 1
    except Invalid as error:
        report.add(7, number, f"entry {number}: {error.message}")


def _check_head(database: sqlite3.Connection, report: LogReport, tree: Tree) -> None:
    # (9) the head row has the size and root of the entries
    head, report.root = read_head(database.cursor()), tree.root()
    if head is None or (head.size, head.root) != (report.entries, report.root):
        said = f"{head.size} entries with root {head.root.hex()}" if head else "nothing"
        report.add(9, None, f"the head says {said}, there are {report.entries} with root {report.root.hex()}")


def _check_files(database: sqlite3.Connection, report: LogReport, tree: Tree) -> None:
    # (10) the tiles lead to the root, and each bundle to its tile
    if tree.size != report.entries:
        return  # what is no leaf has been told, and every tile after it differs
    try:
        check_tiles(tree.size, tree.root(), lambda tile: write_tile(tree, tile))
        for bundle in bundles(tree.size):
            hashes = Tile(0, bundle.index, bundle.width)
            check_bundle(_leaves(database, bundle), read_tile(write_tile(tree, hashes), hashes), bundle)
    except Invalid as error:
        report.add(10, None, error.message)


def _leaves(database: sqlite3.Connection, bundle: Tile) -> list[bytes]:
    """The leaves of a bundle, by the query that a node serves them with."""
    query = "SELECT leaf FROM entries WHERE position >= ? ORDER BY position LIMIT ?"
    return [bytes(row[0]) for row in database.execute(query, (bundle.start, bundle.width))]


def _check_jobs(database: sqlite3.Connection, report: LogReport) -> None:
    # (11) no job that is in the log counts as interrupted
    for (job,) in database.execute("SELECT job FROM begun WHERE job IN (SELECT job FROM entries)"):
        report.add(11, None, f"job {bytes(job).hex()} is in the log and begun")
    # (12) each answer that is kept is of a job in the log, and can be read
    known = "SELECT job, frames, EXISTS (SELECT 1 FROM entries WHERE entries.job = answers.job) FROM answers"
    for job, frames, logged in database.execute(known):
        report.answers += 1
        if not logged:
            report.add(12, None, f"an answer is kept of job {bytes(job).hex()}, which is not in the log")
        try:
            _read_frames(frames)
        except Invalid as error:
            report.add(12, None, f"the answer of job {bytes(job).hex()}: {error}")

    _check_openings(database, report)


def _check_openings(database: sqlite3.Connection, report: LogReport) -> None:
    if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'openings'").fetchone():
        return  # a log of an earlier version that was not opened since
    # (13) what is kept for auditors is of a job in the log, and can be read
    known = "SELECT job, kept, EXISTS (SELECT 1 FROM entries WHERE entries.job = openings.job) FROM openings"
    for job, kept, logged in database.execute(known):
        if not logged:
            report.add(13, None, f"an opening is kept of job {bytes(job).hex()}, which is not in the log")
        try:
            read_kept(kept)
        except Invalid as error:
            report.add(13, None, f"the opening of job {bytes(job).hex()}: {error}")


def _read_frames(data: bytes) -> None:
    while data:
        end = HEADER_BYTES + decode_length(data[:HEADER_BYTES])
        FROM_NODE.decode(data[HEADER_BYTES:end])
        data = data[end:]
