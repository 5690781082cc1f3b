"""Passages on disk: found by words or by vectors, kept across runs, and no older than their documents."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tallynet.client.documents import Document
from tallynet.client.documents.store import FILE, Store, open_store
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.units import ModelId

MODEL, OTHER = ModelId(b"\1" * 32), ModelId(b"\2" * 32)
DOCUMENTS = [
    Document("cats.md", "Cats sleep most of the day.\n\nThey hunt at night."),
    Document("dogs.md", "Dogs like to run.\n\nThey sleep at night."),
    Document("fr.txt", "Le café est fermé."),
]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "kept") as store:
        store.update(DOCUMENTS, 30)
        yield store


def found(store: Store, question: str, count: int = 9) -> list[str]:
    return [passage.label for passage, _ in store.find_by_words(question, count)]


def test_passages_are_found_by_their_words_best_first(store: Store) -> None:
    assert found(store, "Which animals sleep at night?")[0] == "dogs.md#2"
    assert set(found(store, "sleeping")) == {"cats.md#1", "dogs.md#2"}
    assert found(store, "CAFE ferme") == ["fr.txt#1"]
    assert found(store, "night", 1) in (["cats.md#2"], ["dogs.md#2"])


@pytest.mark.parametrize(
    "question", ["", "?!", '"', "whale", 'a" OR "b', "NEAR(", "sleep*", "text:sleep", "\0", "x" * 999]
)
def test_any_question_may_be_asked(store: Store, question: str) -> None:
    assert all(label.endswith(("#1", "#2")) for label in found(store, question))


def test_passages_are_found_by_their_vectors(store: Store) -> None:
    missing = store.without_vector(MODEL)
    vectors = dict.fromkeys(missing, (0.0, 1.0))
    (runs,) = (number for number, text in missing.items() if "run" in text)
    store.keep_vectors(MODEL, vectors | {runs: (0.6, 0.8)})

    ranked = store.find_by_vector(MODEL, (1.0, 0.0), 2)
    assert [passage.label for passage, _ in ranked][0] == "dogs.md#1"
    assert [likeness for _, likeness in ranked] == pytest.approx([0.6, 0.0], abs=1e-3)
    assert store.without_vector(MODEL) == {}
    assert store.without_vector(OTHER) == missing
    assert store.find_by_vector(OTHER, (1.0, 0.0), 2) == []
    with pytest.raises(Misconfigured, match="3 numbers"):
        store.find_by_vector(MODEL, (1.0, 0.0, 0.0), 2)


def test_only_what_has_changed_is_cut_again(store: Store) -> None:
    store.keep_vectors(MODEL, dict.fromkeys(store.without_vector(MODEL), (1.0,)))

    assert store.update(DOCUMENTS, 30) == 0
    assert store.update([DOCUMENTS[0], Document("dogs.md", "Dogs bark.")], 30) == 1
    assert list(store.without_vector(MODEL).values()) == ["Dogs bark."]
    assert found(store, "run") == found(store, "café") == []
    assert found(store, "bark") == ["dogs.md#1"]
    assert store.update([DOCUMENTS[0]], 31) == 1


def test_what_was_kept_is_there_the_next_time(store: Store, tmp_path: Path) -> None:
    store.keep_vectors(MODEL, dict.fromkeys(store.without_vector(MODEL), (1.0,)))
    with open_store(tmp_path / "kept") as again:
        assert again.update(DOCUMENTS, 30) == 0
        assert again.without_vector(MODEL) == {}
        assert found(again, "bark run") == ["dogs.md#1"]


def test_a_damaged_file_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no database" * 100)
    with pytest.raises(Misconfigured) as refusal, open_store(tmp_path):
        pass
    assert "Delete" in refusal.value.remedy and FILE in refusal.value.remedy


def test_the_file_of_another_version_is_not_touched(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / FILE)
    connection.execute("PRAGMA user_version = 7")
    connection.close()
    with pytest.raises(Misconfigured, match="version 7"), open_store(tmp_path):
        pass


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(Misconfigured), open_store(tmp_path / "file" / "folder"):
        pass
