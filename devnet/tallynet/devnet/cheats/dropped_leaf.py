"""Dropped leaf: a job gets its receipt, and its entry never gets into the log, which seems to have ended before."""

from dataclasses import dataclass
from typing import ClassVar

import trio

from tallynet.devnet.cheats.cheat import CheatingNode, JournalFace
from tallynet.node.journal import Journal, Kept
from tallynet.protocol.leaf import Leaf
from tallynet.protocol.units import Seconds


class DroppingJournal(JournalFace):
    """Gives places that lie beyond the end of the log, and writes nothing there."""

    def __init__(self, honest: Journal, keep: int) -> None:
        super().__init__(honest)
        self._keep = keep
        self._dropped = 0

    async def append(
        self, leaf: Leaf, anchor_by: Seconds, answer: bytes, expires: Seconds, kept: Kept | None = None
    ) -> int:
        if self.honest.size < self._keep:
            return await super().append(leaf, anchor_by, answer, expires, kept)
        await trio.lowlevel.checkpoint()
        self._dropped += 1
        return self.honest.size + self._dropped - 1


@dataclass
class DroppedLeaf(CheatingNode):
    kind: ClassVar[str] = "dropped-leaf"
    about: ClassVar[str] = "promised entries are never written into the log"

    def face(self, journal: Journal) -> JournalFace:
        return DroppingJournal(journal, self.honest)
