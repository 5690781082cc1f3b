"""Double index: one job is promised the place that the job before it was promised."""

from dataclasses import dataclass
from typing import ClassVar

from tallynet.devnet.cheats.cheat import CheatingNode, JournalFace
from tallynet.node.journal import Journal, Kept
from tallynet.protocol.leaf import Leaf
from tallynet.protocol.units import Seconds


class DoublingJournal(JournalFace):
    """Writes every leaf, and names for one of them the place of its neighbour."""

    def __init__(self, honest: Journal, double: int) -> None:
        super().__init__(honest)
        self._double = double

    async def append(
        self, leaf: Leaf, anchor_by: Seconds, answer: bytes, expires: Seconds, kept: Kept | None = None
    ) -> int:
        index = await super().append(leaf, anchor_by, answer, expires, kept)
        return index - 1 if index == self._double else index


@dataclass
class DoubleIndex(CheatingNode):
    kind: ClassVar[str] = "double-index"
    about: ClassVar[str] = "two receipts promise one index"

    def face(self, journal: Journal) -> JournalFace:
        return DoublingJournal(journal, self.honest)
