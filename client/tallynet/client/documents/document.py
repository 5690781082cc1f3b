"""Documents from files: text, Markdown, reStructuredText and HTML, in UTF-8."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tallynet.client.documents.html import read_html
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.units import Digest

SUFFIXES = {".txt", ".md", ".rst", ".html", ".htm"}
MAX_FILE_BYTES = 16 * 1024 * 1024
MAX_FILES = 10_000


@dataclass(frozen=True, slots=True)
class Document:
    """One text and where it is from."""

    source: str
    """The file's path, relative to the folder that was named."""
    text: str = field(repr=False)

    @property
    def digest(self) -> Digest:
        """SHA-256 of the text in UTF-8."""
        return Digest(hashlib.sha256(self.text.encode()).digest())


def read_documents(place: Path) -> list[Document]:
    """One file, or all files of a folder and those below it, by path; hidden ones and links are passed over.

    Raises `Misconfigured` for what is not there, is too large, or is no UTF-8.
    """
    if place.is_file():
        return [read_document(place, place.name)]
    if not place.is_dir():
        raise Misconfigured(f"There is no file or folder {place}.", remedy="Name one that exists.")
    paths = sorted(_files(place))
    if len(paths) > MAX_FILES:
        raise Misconfigured(f"{place} holds more than {MAX_FILES} documents.", remedy="Name a smaller folder.")
    if not paths:
        kinds = ", ".join(sorted(SUFFIXES))
        raise Misconfigured(f"{place} holds no document ({kinds}).", remedy="Name another folder.")
    return [read_document(path, path.relative_to(place).as_posix()) for path in paths]


def read_document(path: Path, source: str) -> Document:
    """Read one file. Raises `Misconfigured`."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        text = data.decode("utf-8-sig")
        source.encode()
    except OSError as error:
        raise Misconfigured(f"{path} cannot be read: {error.strerror}.", remedy="Check the file.") from error
    except UnicodeError as error:
        raise Misconfigured(f"{path} is no UTF-8: {error}.", remedy="Convert it, or take it away.") from error
    if len(data) > MAX_FILE_BYTES:
        raise Misconfigured(f"{path} has more than {MAX_FILE_BYTES} bytes.", remedy="Split it.")
    return Document(source, read_html(text) if path.suffix.lower() in (".html", ".htm") else text)


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name.startswith(".") or path.is_symlink():
            continue
        if path.is_dir():
            yield from _files(path)
        elif path.suffix.lower() in SUFFIXES and path.is_file():
            yield path
