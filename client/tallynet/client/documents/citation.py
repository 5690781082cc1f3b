"""Citations: the numbers in an answer, and the passages that they point to."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tallynet.client.documents.passage import Passage

_MARK = re.compile(r"\[(\d{1,3}(?:\s*[,;]\s*\d{1,3})*)\]")
"""[1], or [1, 3]."""


@dataclass(frozen=True, slots=True)
class Citation:
    """One passage that an answer names."""

    number: int
    """As it stands in the answer, from 1."""
    passage: Passage


def read_citations(text: str, passages: Sequence[Passage]) -> tuple[list[Citation], list[int]]:
    """The passages that a text names, each once, in the order of naming; and the numbers that no passage has.

    That a passage is named does not mean that it says so.
    """
    named = dict.fromkeys(int(number) for mark in _MARK.findall(text) for number in re.findall(r"\d+", mark))
    known = [Citation(number, passages[number - 1]) for number in named if 1 <= number <= len(passages)]
    return known, [number for number in named if not 1 <= number <= len(passages)]
