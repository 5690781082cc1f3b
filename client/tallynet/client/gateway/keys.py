"""API keys, and what each of them has used: one SQLite file, shared by the gateway and `tallynet gateway keys`.

The secret itself is shown once and never stored: the file holds its SHA-256, which for 32 random bytes is as good as
the secret. What a run has cost is written when its receipt is there. No prompt and no answer is ever in the file.
"""

import hashlib
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from tallynet.client.gateway.policy import Policy
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.units import JobId, Seconds, Wei

PREFIX = "tally-"
"""Of every secret, so that one that was committed by mistake is found."""
DAY_SECONDS = 86_400
Row = tuple[Any, ...]
"""Of SQLite."""

_CALLER = "name, tokens_per_day, requests_per_minute, policy"
_FORM = """
CREATE TABLE IF NOT EXISTS keys (
    name TEXT PRIMARY KEY, digest BLOB NOT NULL UNIQUE, made INTEGER NOT NULL, revoked INTEGER,
    tokens_per_day INTEGER, requests_per_minute INTEGER, policy BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS runs (
    job BLOB PRIMARY KEY, key TEXT NOT NULL, at INTEGER NOT NULL, tokens INTEGER NOT NULL, price TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS runs_of_key ON runs (key, at);
"""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: a key that is in force, or everybody."""

    name: str
    """Empty for everybody."""
    tokens_per_day: int | None = None
    """Prompt and answer together, from midnight to midnight UTC; None: no limit."""
    requests_per_minute: int | None = None
    """None: the gateway's own limit."""
    policy: Policy = Policy()


EVERYBODY = Caller("")
"""Whoever reaches the port, where no key is needed."""


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key as `keys list` shows it."""

    caller: Caller
    made: Seconds
    revoked: Seconds | None
    runs: int
    """Since it was made."""
    tokens_today: int


class KeyStore:
    """Made by `open_keys`. Calls block for less than a millisecond."""

    def __init__(self, database: sqlite3.Connection, path: Path) -> None:
        self._database = database
        self._path = path

    def add(self, caller: Caller, now: Seconds) -> str:
        """Make a key; returns its secret. Raises `Misconfigured` for a name that was used before."""
        secret = PREFIX + secrets.token_urlsafe(32)
        limits = (caller.tokens_per_day, caller.requests_per_minute, msgspec.json.encode(caller.policy))
        try:
            self._change(
                "INSERT INTO keys VALUES (?, ?, ?, NULL, ?, ?, ?)", (caller.name, _digest(secret), now, *limits)
            )
        except sqlite3.IntegrityError as error:
            raise Misconfigured(
                f"There is or was a key named {caller.name!r}.", remedy="Give the new key another name."
            ) from error
        return secret

    def revoke(self, name: str, now: Seconds) -> None:
        """From now on the key opens nothing. Raises `Misconfigured` when there is none in force."""
        if not self._change("UPDATE keys SET revoked = ? WHERE name = ? AND revoked IS NULL", (now, name)):
            raise Misconfigured(
                f"There is no key named {name!r} in force.", remedy="`tallynet gateway keys list` shows all keys."
            )

    def rows(self, now: Seconds) -> list[KeyRow]:
        """All keys, the oldest first."""
        found = self._read(f"SELECT {_CALLER}, made, revoked FROM keys ORDER BY made")
        return [self._row(row, now) for row in found]

    @property
    def any_in_force(self) -> bool:
        """Whether there is a key that was not revoked."""
        return bool(self._read("SELECT 1 FROM keys WHERE revoked IS NULL LIMIT 1"))

    def find(self, secret: str) -> Caller | None:
        """Whose secret it is; None when it is nobody's, or revoked."""
        found = self._read(f"SELECT {_CALLER} FROM keys WHERE digest = ? AND revoked IS NULL", (_digest(secret),))
        return _caller(*found[0]) if found else None

    def book(self, job: JobId, caller: Caller, tokens: int, price: Wei, now: Seconds) -> None:
        """A run has a receipt. Idempotent."""
        self._change("INSERT OR IGNORE INTO runs VALUES (?, ?, ?, ?, ?)", (job, caller.name, now, tokens, str(price)))

    def owner(self, job: JobId) -> str | None:
        """The name of the key that asked for a run; None for a run that is not known."""
        found = self._read("SELECT key FROM runs WHERE job = ?", (job,))
        return str(found[0][0]) if found else None

    def tokens_today(self, name: str, now: Seconds) -> int:
        """What the runs of a key have used since midnight UTC, prompts and answers together."""
        found = self._read("SELECT total(tokens) FROM runs WHERE key = ? AND at >= ?", (name, now - now % DAY_SECONDS))
        return int(found[0][0])

    def _row(self, row: Row, now: Seconds) -> KeyRow:
        *caller, made, revoked = row
        name = str(row[0])
        runs = self._read("SELECT count(*) FROM runs WHERE key = ?", (name,))
        return KeyRow(_caller(*caller), made, revoked, int(runs[0][0]), self.tokens_today(name, now))

    def _read(self, query: str, values: tuple[object, ...] = ()) -> list[Row]:
        with _translated(self._path):
            return self._database.execute(query, values).fetchall()

    def _change(self, query: str, values: tuple[object, ...]) -> int:
        """How many rows were changed."""
        with _translated(self._path):
            return self._database.execute(query, values).rowcount


@contextmanager
def open_keys(path: Path) -> Iterator[KeyStore]:
    """The store in `path`, made on first use, readable by its owner only. Raises `Misconfigured`."""
    with _translated(path):
        path.touch(mode=0o600, exist_ok=True)
        database = sqlite3.connect(path, isolation_level=None, timeout=5)
    with closing(database):
        with _translated(path):
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            database.executescript(_FORM)
        yield KeyStore(database, path)


def _caller(name: str, tokens_per_day: int | None, requests_per_minute: int | None, policy: bytes) -> Caller:
    return Caller(name, tokens_per_day, requests_per_minute, msgspec.json.decode(policy, type=Policy))


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.IntegrityError:
        raise
    except (sqlite3.Error, OSError) as error:
        raise Misconfigured(
            f"The key file {path} cannot be used: {error}.",
            remedy="Name another with --keys FILE, in a folder of yours.",
        ) from error
