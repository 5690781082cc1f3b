"""Withheld tiles: heads and proofs as ever, and no entry is shown to anybody."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

from tallynet.devnet.cheats.cheat import CheatingNode, JournalFace
from tallynet.node.journal import Journal
from tallynet.node.log_desk import LogDesk
from tallynet.protocol.errors import Refused


class WithholdingJournal(JournalFace):
    """Has no entries to show once there are more than `keep`."""

    def __init__(self, honest: Journal, keep: int) -> None:
        super().__init__(honest)
        self._keep = keep

    async def leaves(self, start: int, count: int) -> Sequence[bytes]:
        if self.honest.size > self._keep:
            raise Refused(f"there is no entry {start} yet", reason="no such file")
        return await self.honest.leaves(start, count)


@dataclass
class WithheldTiles(CheatingNode):
    kind: ClassVar[str] = "withheld-tiles"
    about: ClassVar[str] = "entries are not shown once they are anchored"

    def log_desk(self, journal: Journal) -> LogDesk:
        """Only who asks from outside is given nothing: the node itself knows its log."""
        return super().log_desk(cast(Journal, WithholdingJournal(journal, self.honest)))
