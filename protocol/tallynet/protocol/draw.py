"""(6) Which entries of a log an audit looks at: drawn from a block that did not exist when the log was anchored.

Anybody draws the same, in the same order: the node, who gives openings of what was drawn and of nothing else; the
auditor; and whoever checks an auditor's report. Source: spec chapter 6, "Sampling".
"""

import hashlib
import struct
from dataclasses import dataclass

from tallynet.protocol.units import Address, Digest

DRAW_DELAY_BLOCKS = 12
"""The block that draws comes so many blocks after the one that holds the anchor."""
MAX_DRAWN = 1024
"""Entries that one block draws, at most: nobody can have all of a large log opened at once."""

_DRAW = b"tallynet/draw/1\0"


def drawing_block(anchor_block: int) -> int:
    """Number of the block that draws from a log that was anchored in `anchor_block`."""
    return anchor_block + DRAW_DELAY_BLOCKS


@dataclass(frozen=True, slots=True)
class Draw:
    """A log as it was anchored, and the block that draws from it."""

    node: Address
    size: int
    """Entries in the log, 1 ≤ size < 2**40."""
    block_hash: Digest

    @property
    def seed(self) -> Digest:
        return Digest(hashlib.sha256(_DRAW + self.block_hash + self.node + struct.pack(">Q", self.size)).digest())

    def indices(self, count: int = MAX_DRAWN) -> tuple[int, ...]:
        """The first `count` entries drawn, in order, none of them twice; all of them where there are no more.

        A Fisher-Yates shuffle of 0 … size - 1, of which only the places touched are kept.
        """
        seed, moved, drawn = self.seed, dict[int, int](), list[int]()
        for at in range(min(count, self.size, MAX_DRAWN)):
            word = int.from_bytes(hashlib.sha256(seed + struct.pack(">Q", at)).digest(), "big")
            other = at + word % (self.size - at)
            drawn.append(moved.get(other, other))
            moved[other] = moved.get(at, at)
        return tuple(drawn)
