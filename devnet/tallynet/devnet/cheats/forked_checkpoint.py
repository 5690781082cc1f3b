"""Forked checkpoint: every second who asks is shown a log with another last entry."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

from tallynet.devnet.cheats.cheat import CheatingNode
from tallynet.node.journal import Journal
from tallynet.node.log_desk import LogDesk
from tallynet.protocol.checkpoint import Checkpoint, SignedCheckpoint, sign_checkpoint
from tallynet.protocol.merkle import leaf_hash

OTHER_LEAF = leaf_hash(b"something else took place")


@dataclass(frozen=True)
class ForkingDesk(LogDesk):
    """Signs two roots for each size above `honest`."""

    honest: int = 0
    _asked: Iterator[int] = field(default_factory=itertools.count)

    def checkpoint(self) -> SignedCheckpoint:
        size = self.journal.size
        if size <= self.honest or next(self._asked) % 2 == 0:
            return super().checkpoint()
        other = self.journal.tree.frontier(size - 1).append(OTHER_LEAF).root()
        return sign_checkpoint(Checkpoint(size, other), self.domain, self.key)


@dataclass
class ForkedCheckpoint(CheatingNode):
    kind: ClassVar[str] = "forked-checkpoint"
    about: ClassVar[str] = "some are shown a log with another root"

    def log_desk(self, journal: Journal) -> LogDesk:
        return ForkingDesk(self.key, self.ledger.domain, journal, self.opening_desk(journal), self.honest)
