"""Late anchor: entries stay off the chain until their promised time is over, and are then anchored as if in time."""

from dataclasses import dataclass, field
from typing import ClassVar

import trio

from tallynet.devnet.cheats.cheat import CheatingNode
from tallynet.node.anchoring import Anchoring
from tallynet.node.journal import Journal
from tallynet.protocol.units import Milliseconds

LATENESS_MS = 10_000
"""How long after the promised time the anchor comes."""


@dataclass
class LateAnchoring(Anchoring):
    """Waits with the entries after the first `honest`."""

    honest: int = 0
    wait_ms: int = 0
    _held_since: Milliseconds | None = field(default=None, init=False)

    async def anchor(self) -> None:
        if self.journal.size > self.honest:
            self._held_since = self._held_since or self.clock()
            if self.clock() < self._held_since + self.wait_ms:
                await trio.lowlevel.checkpoint()
                return
        await super().anchor()


@dataclass
class LateAnchor(CheatingNode):
    kind: ClassVar[str] = "late-anchor"
    about: ClassVar[str] = "entries are anchored after their promised time"

    def anchoring(self, journal: Journal) -> Anchoring:
        return LateAnchoring(
            self.key, self.ledger, journal, self.metrics, self.clock, self.config.anchor_seconds,
            self.config.anchor_count, honest=self.honest, wait_ms=1000 * self.config.promise_seconds + LATENESS_MS,
        )  # fmt: skip
