"""(6) What a log's tiles of hashes must say, computed from its entries as they come.

A hash of level L + 1 is the root of a full tile of level L, so a reader of entries knows every tile without asking
for one. Source: C2SP tlog-tiles; spec chapter 5, "Tile log".
"""

from collections.abc import Iterator, Sequence

from tallynet.protocol.merkle import root as root_of
from tallynet.protocol.tiles import MAX_LEVEL, TILE_WIDTH, Tile
from tallynet.protocol.units import Digest

Rows = tuple[tuple[Digest, ...], ...]
"""The hashes of the tile that is not full, at each level."""


class TileRows:
    """Grows by one entry bundle at a time; only the last one may be partial."""

    def __init__(self, begun: Rows = (), size: int = 0) -> None:
        """`begun` are the rows of a log of `size` entries, a multiple of 256, that was read before."""
        self._rows: list[tuple[Digest, ...]] = [*begun, *[()] * (MAX_LEVEL + 1 - len(begun))]
        self._full = [size >> 8 * (level + 1) for level in range(MAX_LEVEL + 1)]

    @property
    def rows(self) -> Rows:
        return tuple(self._rows)

    def extend(self, hashes: Sequence[Digest]) -> Iterator[tuple[Tile, bytes]]:
        """The entries' hashes of one more bundle; gives each full tile that it completes."""
        added = tuple(hashes)
        for level in range(MAX_LEVEL + 1):
            row = self._rows[level] + added
            if len(row) < TILE_WIDTH:
                self._rows[level] = row
                return
            yield Tile(level, self._full[level]), b"".join(row)
            self._rows[level] = ()
            self._full[level] += 1
            added = (root_of(row),)

    def partial(self) -> Iterator[tuple[Tile, bytes]]:
        """The tiles at the right edge that are not full."""
        for level, row in enumerate(self._rows):
            if row:
                yield Tile(level, self._full[level], len(row)), b"".join(row)
