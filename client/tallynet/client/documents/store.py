"""Passages on disk: one SQLite file in a folder, with their words (FTS5, ranked by BM25) and their vectors.

It is derived from the documents and can be thrown away. A document that has not changed is not cut again, and a passage
that has a vector is not paid for again. Words and vectors of a passage come and go in one transaction.
"""

import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tallynet.client.documents.document import Document
from tallynet.client.documents.passage import PASSAGE_CHARACTERS, Passage, cut_document
from tallynet.client.documents.vectors import pack_vector, rank_vectors
from tallynet.protocol.embedding import Vector
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.units import ModelId

FILE = "passages.sqlite"
MAX_WORDS = 64
"""Of a question; the rest is not looked for."""

_VERSION = 1
_TABLES = f"""
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS document (
    id INTEGER PRIMARY KEY,
    source TEXT UNIQUE NOT NULL,
    digest BLOB NOT NULL,
    characters INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS passage (
    id INTEGER PRIMARY KEY,
    document INTEGER NOT NULL REFERENCES document (id),
    number INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS passages_of ON passage (document);
CREATE TABLE IF NOT EXISTS vector (
    passage INTEGER NOT NULL REFERENCES passage (id),
    model BLOB NOT NULL,
    packed BLOB NOT NULL,
    PRIMARY KEY (passage, model)
) WITHOUT ROWID;
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5 (text, tokenize = 'porter unicode61 remove_diacritics 2');
PRAGMA user_version = {_VERSION};
"""


Scored = tuple[Passage, float]
"""A passage and how well it fits; higher is better."""


class Store:
    """For one thread at a time."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    def prepare(self) -> None:
        """Make the tables that are not there. Raises `Misconfigured` for a file of another version, or of none."""
        with self._errors():
            (version,) = self._connection.execute("PRAGMA user_version").fetchone()
            if version not in (0, _VERSION):
                raise sqlite3.DatabaseError(f"it has version {version}, not {_VERSION}")
            self._connection.executescript(_TABLES)

    def update(self, documents: Sequence[Document], characters: int = PASSAGE_CHARACTERS) -> int:
        """Make the store hold these documents and no others, in passages of at most `characters`. Returns how many of
        them were new or changed."""
        wanted = {document.source: document for document in documents}
        with self._transaction():
            rows = self._rows("SELECT source, digest, characters FROM document")
            known = {source: (digest, length) for source, digest, length in rows}
            changed = [source for source in wanted if known.get(source) != (wanted[source].digest, characters)]
            for source in known:
                if source not in wanted or source in changed:
                    self._remove(source)
            for source in changed:
                self._add(wanted[source], characters)
        return len(changed)

    def without_vector(self, model: ModelId) -> dict[int, str]:
        """The texts of all passages that `model` has not embedded, by their ids."""
        missing = "SELECT rowid, text FROM words WHERE rowid NOT IN (SELECT passage FROM vector WHERE model = ?)"
        return dict(self._rows(missing, model))

    def keep_vectors(self, model: ModelId, vectors: Mapping[int, Vector]) -> None:
        """Vectors by the ids of their passages, kept for good."""
        rows = [(passage, model, pack_vector(vector)) for passage, vector in vectors.items()]
        with self._transaction():
            self._connection.executemany("INSERT OR REPLACE INTO vector VALUES (?, ?, ?)", rows)

    def find_by_words(self, question: str, count: int) -> list[Scored]:
        """The passages whose words fit a question best, by BM25; none without a word in common."""
        words = re.findall(r"\w+", question)[:MAX_WORDS]
        if not words:
            return []
        query = (
            "SELECT source, number, words.text, -bm25(words) FROM words JOIN passage ON passage.id = words.rowid "
            "JOIN document ON document.id = passage.document WHERE words MATCH ? ORDER BY rank, words.rowid LIMIT ?"
        )
        rows = self._rows(query, " OR ".join(f'"{word}"' for word in words), count)
        return [(Passage(source, number, text), score) for source, number, text, score in rows]

    def find_by_vector(self, model: ModelId, wanted: Vector, count: int) -> list[Scored]:
        """The passages whose vectors are most like `wanted`. Raises `Misconfigured` for vectors of another length."""
        rows = list(self._rows("SELECT passage, packed FROM vector WHERE model = ? ORDER BY passage", model))
        try:
            best = rank_vectors(wanted, [packed for _, packed in rows], count)
        except ValueError as error:
            raise self._broken(error) from error
        return [(self._passage(rows[place][0]), likeness) for place, likeness in best]

    def _passage(self, number: int) -> Passage:
        query = (
            "SELECT source, number, text FROM words JOIN passage ON passage.id = words.rowid "
            "JOIN document ON document.id = passage.document WHERE words.rowid = ?"
        )
        ((source, place, text),) = self._rows(query, number)
        return Passage(source, place, text)

    def _add(self, document: Document, characters: int) -> None:
        insert = "INSERT INTO document (source, digest, characters) VALUES (?, ?, ?) RETURNING id"
        ((number,),) = self._rows(insert, document.source, document.digest, characters)
        for passage in cut_document(document, characters):
            ((place,),) = self._rows(
                "INSERT INTO passage (document, number) VALUES (?, ?) RETURNING id", number, passage.number
            )
            self._connection.execute("INSERT INTO words (rowid, text) VALUES (?, ?)", (place, passage.text))

    def _remove(self, source: str) -> None:
        passages = "(SELECT passage.id FROM passage JOIN document ON document.id = document WHERE source = ?)"
        self._connection.execute(f"DELETE FROM vector WHERE passage IN {passages}", (source,))
        self._connection.execute(f"DELETE FROM words WHERE rowid IN {passages}", (source,))
        self._connection.execute(f"DELETE FROM passage WHERE id IN {passages}", (source,))
        self._connection.execute("DELETE FROM document WHERE source = ?", (source,))

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._errors():
            return self._connection.execute(query, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._errors(), self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            yield

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._broken(error) from error

    def _broken(self, error: Exception) -> Misconfigured:
        return Misconfigured(
            f"The passages in {self._path} cannot be used: {error}.",
            remedy=f"Delete {self._path}: it is made again from the documents.",
        )


@contextmanager
def open_store(folder: Path) -> Iterator[Store]:
    """The passages kept in `folder`, which is made if it is not there. Raises `Misconfigured`."""
    path = folder / FILE
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
    except (OSError, sqlite3.Error) as error:
        raise Misconfigured(f"{path} cannot be opened: {error}.", remedy="Name another folder.") from error
    store = Store(connection, path)
    try:
        store.prepare()
        yield store
    finally:
        connection.close()
