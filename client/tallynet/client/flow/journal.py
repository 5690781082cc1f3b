"""What a flow has done so far, on disk before anything depends on it: a crash at any instant costs no finished step.

One SQLite file in the flow's folder, mode 0600 in 0700: it holds prompts, answers and the secrets of all jobs. Every
write is on disk when it returns. A job stands here, with its signature, before any node gets it, and with the node's
name before that node gets it: so the same job can be sent to the same node again, which knows it.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from tallynet.client.order import Order
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import Invalid, Misconfigured
from tallynet.protocol.flow_file import StepRun
from tallynet.protocol.flow_plan import OpenedInput, Plan
from tallynet.protocol.flow_template import Value
from tallynet.protocol.job import SignedJob, verify_job
from tallynet.protocol.units import Address, Milliseconds

FILE = "flow.sqlite"
_TABLES = """
CREATE TABLE IF NOT EXISTS begun (id INTEGER PRIMARY KEY CHECK (id = 1), data BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS jobs (
    step TEXT, place INTEGER, attempt INTEGER, job BLOB NOT NULL, node BLOB, ended TEXT,
    PRIMARY KEY (step, place, attempt)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS answers (
    step TEXT, place INTEGER, bundle BLOB NOT NULL, PRIMARY KEY (step, place)
) STRICT, WITHOUT ROWID;
"""

T = TypeVar("T")


class _Input(Struct):
    salt: bytes
    value: str | tuple[str, ...]


class Begun(Struct):
    """What is fixed when a run of a flow begins."""

    plan: Plan
    secret: bytes
    """Of the jobs' nonces; 32 random bytes."""
    inputs: dict[str, _Input]
    client: bytes
    """Whose name stands under all jobs."""
    domain: Domain
    """Chain and contract for which they are signed."""

    @property
    def opened(self) -> dict[str, OpenedInput]:
        return {name: OpenedInput(known.salt, known.value) for name, known in self.inputs.items()}

    @property
    def values(self) -> dict[str, Value]:
        return {name: known.value for name, known in self.inputs.items()}


def begun(plan: Plan, secret: bytes, inputs: dict[str, OpenedInput], client: Address, domain: Domain) -> Begun:
    stored = {name: _Input(known.salt, known.value) for name, known in inputs.items()}
    return Begun(plan, secret, stored, client, domain)


class _Job(Struct):
    """An order, as it is stored."""

    signed: SignedJob
    request: bytes
    secret: bytes
    placed: int
    price_is_capped: bool


@dataclass(frozen=True, slots=True)
class Placed:
    """The job of one run that has no answer yet."""

    order: Order
    node: Address | None
    """Who was handed it last; None when nobody was."""


class Journal:
    """Of one run of a flow. Each of its calls takes as long as the disk does, and is over when it returns."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def begun(self) -> Begun | None:
        """What was begun; None in a new folder. Raises `Misconfigured` when it cannot be read."""
        row = self._database.execute("SELECT data FROM begun").fetchone()
        return None if row is None else _decoded(row[0], Begun)

    def begin(self, value: Begun) -> None:
        self._write("INSERT INTO begun VALUES (1, ?)", msgspec.msgpack.encode(value))

    def runs(self) -> list[StepRun]:
        """The finished runs, by step and place."""
        rows = self._database.execute("SELECT step, place, bundle FROM answers ORDER BY step, place")
        return [StepRun(step, place, bytes(bundle)) for step, place, bundle in rows]

    def handed(self) -> set[str]:
        """The steps of which a job was signed."""
        return {step for (step,) in self._database.execute("SELECT DISTINCT step FROM jobs")}

    def placed(self, step: str, place: int, domain: Domain) -> Placed | None:
        """The job that was signed last for this run and may still be answered."""
        query = f"SELECT job, node FROM jobs WHERE {_LAST} AND ended IS NULL"
        row = self._database.execute(query, (step, place)).fetchone()
        return None if row is None else Placed(_order(_decoded(row[0], _Job), domain), row[1] and Address(row[1]))

    def place(self, step: str, place: int, order: Order) -> None:
        """Keep a job before anybody gets it."""
        job = _Job(order.signed, order.request, order.secret, order.placed, order.price_is_capped)
        attempt = "(SELECT count(*) FROM jobs WHERE step = ?1 AND place = ?2)"
        data = msgspec.msgpack.encode(job)
        self._write(f"INSERT INTO jobs VALUES (?1, ?2, {attempt}, ?3, NULL, NULL)", step, place, data)

    def hand(self, step: str, place: int, node: Address) -> None:
        """Keep who gets the job, before it does."""
        self._write(f"UPDATE jobs SET node = ?3 WHERE {_LAST}", step, place, bytes(node))

    def end(self, step: str, place: int, why: str) -> None:
        """The job will never be answered whole: the next one is a new one."""
        self._write(f"UPDATE jobs SET ended = ?3 WHERE {_LAST}", step, place, why)

    def answer(self, step: str, place: int, bundle: bytes) -> None:
        """Keep a finished run."""
        self._write("INSERT INTO answers VALUES (?, ?, ?)", step, place, bundle)

    def _write(self, statement: str, *values: str | int | bytes) -> None:
        try:
            with self._database:
                self._database.execute(statement, values)
        except sqlite3.Error as error:
            raise Misconfigured(
                f"The flow's journal cannot be written: {error}.",
                remedy="Make room on the disk, then go on with --resume.",
            ) from error


_LAST = "step = ?1 AND place = ?2 AND attempt = (SELECT max(attempt) FROM jobs WHERE step = ?1 AND place = ?2)"


@contextmanager
def open_journal(folder: Path) -> Iterator[Journal]:
    """The journal in a folder, which is made if it is not there.

    Raises `Misconfigured` when the folder cannot be used or a flow runs in it already.
    """
    with _folder(folder), _connected(folder / FILE) as database:
        yield Journal(database)


@contextmanager
def watch_journal(folder: Path) -> Iterator[Journal]:
    """The journal of a flow that may be running, to be read only. Raises `Misconfigured` when there is none."""
    if not (folder / FILE).is_file():
        raise Misconfigured(f"No flow was begun in {folder}.", remedy="Name the folder of a run with --state.")
    with _connected(folder / FILE) as database:
        yield Journal(database)


@contextmanager
def _folder(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (folder / "lock").open("w")
    except OSError as error:
        raise Misconfigured(
            f"The folder {folder} cannot be used: {error.strerror}.", remedy="Name another with --state."
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Misconfigured(
                f"A flow is running in {folder} already.", remedy="Wait for it, or name another with --state."
            ) from error
        yield


@contextmanager
def _connected(path: Path) -> Iterator[sqlite3.Connection]:
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    database = sqlite3.connect(path)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.executescript(_TABLES)
        yield database
    except sqlite3.DatabaseError as error:
        raise _damaged(str(error)) from error
    finally:
        database.close()


def _decoded(data: bytes, kind: type[T]) -> T:
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except msgspec.DecodeError as error:
        raise _damaged(str(error)) from error


def _order(job: _Job, domain: Domain) -> Order:
    try:
        verified = verify_job(job.signed, domain)
    except Invalid as error:
        raise _damaged(error.message) from error
    return Order(domain, job.signed, verified, job.request, job.secret, Milliseconds(job.placed), job.price_is_capped)


def _damaged(why: str) -> Misconfigured:
    return Misconfigured(
        f"The flow's journal cannot be read: {why}.", remedy="Begin the flow anew in another folder with --state."
    )
