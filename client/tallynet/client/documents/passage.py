"""Passages: what a text is cut into, along its paragraphs, so that each can be found, shown and sealed by itself."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from tallynet.client.documents.document import Document
from tallynet.protocol.units import Digest

PASSAGE_CHARACTERS = 800

_BREAKS = (re.compile(r"\n\s*\n"), re.compile(r"\n"), re.compile(r"(?<=[.!?…。！？])\s"), re.compile(r"\s"))
"""Where a text may be cut, the best first: between paragraphs, lines, sentences, words."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A part of a document, as it stands in a prompt."""

    source: str
    """The document."""
    number: int
    """Its place among the passages of the document, from 1."""
    text: str = field(repr=False)
    """Not empty, without white space around it."""

    @property
    def digest(self) -> Digest:
        """SHA-256 of the text in UTF-8, as `sha256sum` prints it."""
        return Digest(hashlib.sha256(self.text.encode()).digest())

    @property
    def label(self) -> str:
        """`guide.md#3`."""
        return f"{self.source}#{self.number}"


def cut_document(document: Document, characters: int = PASSAGE_CHARACTERS) -> list[Passage]:
    """The passages of a document, in order, none longer than `characters`."""
    texts = cut_text(document.text, characters)
    return [Passage(document.source, number, text) for number, text in enumerate(texts, start=1)]


def cut_text(text: str, characters: int) -> list[str]:
    """Cut a text into parts of at most `characters`, as few as paragraphs, lines, sentences and words allow.

    Nothing but white space is lost. Raises ValueError for less than one character.
    """
    if characters < 1:
        raise ValueError(f"no text is cut into parts of {characters} characters")
    return list(_parts(text, characters))


def _parts(text: str, characters: int) -> Iterator[str]:
    begin = 0
    while begin < len(text):
        end = _end(text, begin, characters)
        if part := text[begin:end].strip():
            yield part
        begin = end


def _end(text: str, begin: int, characters: int) -> int:
    """Where the part from `begin` ends: at the last place of the best kind in its second half, or where it is full."""
    limit = begin + characters
    if len(text) <= limit:
        return len(text)
    for kind in _BREAKS:
        places = [match.start() for match in kind.finditer(text, begin + characters // 2, limit + 1)]
        if places and places[-1] > begin:
            return places[-1]
    return limit
