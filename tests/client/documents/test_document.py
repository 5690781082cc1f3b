"""Files read as text, and texts cut into passages."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallynet.client.documents import Document, cut_text, read_documents
from tallynet.client.documents.document import MAX_FILE_BYTES
from tallynet.client.documents.html import read_html
from tallynet.client.documents.passage import cut_document
from tallynet.protocol.errors import Misconfigured

PAGE = """<!doctype html><html><head><title>No</title><style>p {}</style></head>
<body><script>if (a < b) no()</script><h1>Caf&eacute;</h1><p>One <b>bold</b>
word &amp; another.<p>Two<br>lines<ul><li>item</ul><template><p>no</template></body></html>"""


def test_a_folder_is_read_by_path_without_what_is_no_document(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / "b" / "one.TXT").write_text("One.")
    (tmp_path / "a.md").write_text("\ufeffA.", encoding="utf-8")
    (tmp_path / "c.html").write_text("<p>C")
    (tmp_path / "d.rst").write_text("D.")
    (tmp_path / ".git" / "x.md").write_text("hidden")
    (tmp_path / "photo.png").write_bytes(b"\x89PNG")
    (tmp_path / "link.md").symlink_to("/etc/passwd")

    found = read_documents(tmp_path)
    assert [(document.source, document.text) for document in found] == [
        ("a.md", "A."), ("b/one.TXT", "One."), ("c.html", "C"), ("d.rst", "D.")
    ]  # fmt: skip


def test_one_file_is_one_document_whatever_it_is_called(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("Notes.")
    assert read_documents(tmp_path / "notes") == [Document("notes", "Notes.")]


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="no file or folder"):
        read_documents(tmp_path / "missing")
    with pytest.raises(Misconfigured, match="holds no document"):
        read_documents(tmp_path)
    (tmp_path / "latin.txt").write_bytes("café".encode("latin-1"))
    with pytest.raises(Misconfigured, match=r"latin\.txt is no UTF-8"):
        read_documents(tmp_path)


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    (tmp_path / "big.txt").write_bytes(b"x" * (MAX_FILE_BYTES + 1))
    with pytest.raises(Misconfigured, match="more than"):
        read_documents(tmp_path)


def test_html_is_what_a_reader_sees() -> None:
    assert read_html(PAGE) == "Café\n\nOne bold word & another.\n\nTwo\n\nlines\n\nitem"


@given(st.text(alphabet="<>/!-&;abp \n\0\"'="))
def test_any_page_is_read(page: str) -> None:
    assert "\0" not in read_html(page)


# Passages


@given(st.text(alphabet="ab .\n", max_size=300), st.integers(1, 50))
def test_no_letter_is_lost_and_no_part_too_long(text: str, characters: int) -> None:
    parts = cut_text(text, characters)

    assert "".join("".join(parts).split()) == "".join(text.split())
    assert all(part and part == part.strip() and len(part) <= characters for part in parts)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("One and two.\n\nThree is longer.\n\nFour.", ["One and two.", "Three is longer.", "Four."]),
        ("A sentence. Another one here.", ["A sentence.", "Another one here."]),
        ("word " * 6, ["word word word word", "word word"]),
        ("x" * 50, ["x" * 20, "x" * 20, "x" * 10]),
        (" \n ", []),
    ],
)
def test_a_text_is_cut_where_it_hurts_least(text: str, parts: list[str]) -> None:
    assert cut_text(text, 20) == parts


def test_parts_without_letters_are_impossible() -> None:
    with pytest.raises(ValueError, match="0 characters"):
        cut_text("x", 0)


def test_a_passage_knows_where_it_is_from() -> None:
    first, second = cut_document(Document("guide.md", "First part.\n\nSecond."), 12)

    assert (first.label, second.label) == ("guide.md#1", "guide.md#2")
    assert second.digest == hashlib.sha256(b"Second.").digest()
