"""Altered leaf: the log says of a job that it was longer, and so dearer, than the receipt says."""

from dataclasses import dataclass, replace
from typing import ClassVar

from tallynet.devnet.cheats.cheat import CheatingNode, JournalFace
from tallynet.node.journal import Journal, Kept
from tallynet.protocol.leaf import Leaf
from tallynet.protocol.units import Seconds


class AlteringJournal(JournalFace):
    """Writes another leaf than the one that is then promised."""

    def __init__(self, honest: Journal, keep: int) -> None:
        super().__init__(honest)
        self._keep = keep

    async def append(
        self, leaf: Leaf, anchor_by: Seconds, answer: bytes, expires: Seconds, kept: Kept | None = None
    ) -> int:
        if self.honest.size >= self._keep:
            leaf = replace(leaf, completion_tokens=leaf.completion_tokens + 1)
        return await super().append(leaf, anchor_by, answer, expires, kept)


@dataclass
class AlteredLeaf(CheatingNode):
    kind: ClassVar[str] = "altered-leaf"
    about: ClassVar[str] = "the log has another leaf at the promised index"

    def face(self, journal: Journal) -> JournalFace:
        return AlteringJournal(journal, self.honest)
