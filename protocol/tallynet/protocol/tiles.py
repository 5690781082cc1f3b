"""(5) Tiles: a log as a finite set of files that never change, for readers with nothing but HTTP.

A tile of level L holds up to 256 roots of whole subtrees of 256**L leaves; an entry bundle holds the leaves under one
tile of level 0. A file that is not yet full has its width in its name. Format: C2SP tlog-tiles. Source: spec
chapter 5, "Tile log".
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from tallynet.protocol.errors import InvalidFrame, InvalidProof
from tallynet.protocol.leaf import LEAF_BYTES
from tallynet.protocol.merkle import EMPTY_ROOT, MAX_SIZE, leaf_hash
from tallynet.protocol.merkle import root as root_of
from tallynet.protocol.merkle_tree import Frontier, Tree
from tallynet.protocol.units import Digest, printable

TILE_WIDTH = 256
"""Hashes in a full tile, leaves in a full bundle."""
TILE_BYTES = 32 * TILE_WIDTH
ENTRY_BYTES = 2 + LEAF_BYTES
BUNDLE_BYTES = ENTRY_BYTES * TILE_WIDTH
MAX_LEVEL = 4
"""A log below 2**40 leaves has no tile above; C2SP has names for 63."""
MAX_PATH_CHARACTERS = 64

_PATH = re.compile(r"tile/(entries|[0-9]{1,2})/((?:x[0-9]{3}/){0,4}[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")


@dataclass(frozen=True, slots=True)
class Tile:
    """The name of a file of the log. Raises ValueError where there cannot be such a file."""

    level: int | None
    """0 ≤ level ≤ 4; None for an entry bundle."""
    index: int
    width: int = TILE_WIDTH
    """1 ≤ width ≤ 256; below 256 the file is partial."""

    def __post_init__(self) -> None:
        known = 0 <= (self.level or 0) <= MAX_LEVEL and 1 <= self.width <= TILE_WIDTH and self.index >= 0
        if not known or self.end >= MAX_SIZE:
            raise ValueError(f"no tile of level {self.level}, index {self.index}, width {self.width}")

    @property
    def span(self) -> int:
        """Leaves under one hash of the tile."""
        return int(TILE_WIDTH ** (self.level or 0))

    @property
    def start(self) -> int:
        """Number of the first leaf under the tile."""
        return self.index * TILE_WIDTH * self.span

    @property
    def end(self) -> int:
        """Leaves that a log has at least, if it has this file."""
        return self.start + self.width * self.span

    def __str__(self) -> str:
        digits = f"{self.index:03}"
        digits = digits.zfill(-(-len(digits) // 3) * 3)
        groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
        name = "entries" if self.level is None else str(self.level)
        part = "" if self.width == TILE_WIDTH else f".p/{self.width}"
        return f"tile/{name}/{''.join(f'x{group}/' for group in groups[:-1])}{groups[-1]}{part}"

    @classmethod
    def parse(cls, path: str) -> Self:
        """Read a path without a slash before it. Raises `InvalidFrame` for any other spelling than `str` gives."""
        # (1) it is a path by C2SP tlog-tiles, of a tile that a log below 2**40 leaves can have
        found = _PATH.fullmatch(path) if len(path) <= MAX_PATH_CHARACTERS else None
        if found is None:
            raise InvalidFrame(f"{printable(path, 80)!r} is no path of a tile", check=1)
        try:
            level = None if found[1] == "entries" else int(found[1])
            tile = cls(level, int(re.sub("[x/]", "", found[2])), int(found[3] or TILE_WIDTH))
        except ValueError as error:
            raise InvalidFrame(f"{printable(path, 80)!r}: {error}", check=1) from error
        # (2) it is written in the one way
        if str(tile) != path:
            raise InvalidFrame(f"{printable(path, 80)!r} is written {tile}", check=2)
        return tile


def tiles(size: int, start: int = 0) -> Iterator[Tile]:
    """Every tile of a log of `size` leaves that a log of `start` leaves has not, full and partial, level by level."""
    for level in range(MAX_LEVEL + 1):
        hashes, known = size >> 8 * level, start >> 8 * level
        if not hashes:
            return
        yield from (Tile(level, index, width) for index, width in _cut(hashes, known))


def bundles(size: int, start: int = 0) -> Iterator[Tile]:
    """Every entry bundle of a log of `size` leaves that a log of `start` leaves has not, full and partial."""
    return (Tile(None, index, width) for index, width in _cut(size, start))


def write_tile(tree: Tree, tile: Tile) -> bytes:
    """The hashes of one tile, joined; ValueError unless the tree is large enough and it is no bundle."""
    if tile.level is None:
        raise ValueError("an entry bundle is not made from hashes")
    return tree.row(8 * tile.level, tile.index * TILE_WIDTH, tile.width)


def read_tile(data: bytes, tile: Tile) -> Sequence[Digest]:
    """The hashes of a tile. Raises `InvalidFrame` when there are not `tile.width`."""
    # (3) a tile is as many hashes of 32 bytes as its path says
    if len(data) != 32 * tile.width:
        raise InvalidFrame(f"{tile} has {len(data)} bytes, not {32 * tile.width}", check=3)
    return [Digest(data[at : at + 32]) for at in range(0, len(data), 32)]


def write_bundle(leaves: Sequence[bytes]) -> bytes:
    """Packed leaves, each after its length as two bytes, big-endian; at most 256."""
    if not 1 <= len(leaves) <= TILE_WIDTH:
        raise ValueError(f"an entry bundle holds 1 to {TILE_WIDTH} leaves, not {len(leaves)}")
    return b"".join(len(leaf).to_bytes(2, "big") + leaf for leaf in leaves)


def read_bundle(data: bytes, tile: Tile) -> Sequence[bytes]:
    """The packed leaves of a bundle, not yet parsed. Raises `InvalidFrame` when there are not `tile.width`."""
    # (4) a bundle is as many entries of 352 bytes as its path says, each after its length
    length, leaves = LEAF_BYTES.to_bytes(2, "big"), range(0, len(data), ENTRY_BYTES)
    if len(data) != ENTRY_BYTES * tile.width or any(data[at : at + 2] != length for at in leaves):
        raise InvalidFrame(f"{tile} is not {tile.width} entries of {LEAF_BYTES} bytes", check=4)
    return [data[at + 2 : at + ENTRY_BYTES] for at in leaves]


def check_bundle(leaves: Sequence[bytes], hashes: Sequence[Digest], tile: Tile) -> None:
    """Raises `InvalidProof` unless the leaves of a bundle have the hashes of the tile of level 0 above them."""
    # (5) each entry hashes to its place in the tile of level 0
    for at, (leaf, hashed) in enumerate(zip(leaves, hashes, strict=True)):
        if leaf_hash(leaf) != hashed:
            raise InvalidProof(f"entry {tile.start + at} is not the one that its tile tells", check=5)


def check_tiles(size: int, root: Digest, read: Callable[[Tile], bytes]) -> None:
    """Check all tiles of a log of `size` leaves against its root; `read` gives a tile's bytes.

    One hash in a tile of level L + 1 is the root of a full tile of level L; what is partial at the right edge makes up
    the rest. Raises `InvalidFrame`, and `InvalidProof` for a tile that does not fit.
    """
    below: list[Digest] = []
    edge: list[Sequence[Digest]] = []
    for level in range(MAX_LEVEL + 1):
        row: list[Digest] = []
        full: list[Digest] = []
        for tile in (Tile(level, index, width) for index, width in _cut(size >> 8 * level, 0)):
            hashes = read_tile(read(tile), tile)
            row += hashes
            full += [root_of(hashes)] if tile.width == TILE_WIDTH else []
        # (6) each hash above level 0 is the root of the full tile below it
        if level and row != below:
            raise InvalidProof(f"the tiles of level {level} do not fit those below them", check=6)
        edge.append(row[len(row) // TILE_WIDTH * TILE_WIDTH :])
        below = full
    # (7) the tiles lead to the root
    if _root_of_edge(size, edge) != root:
        raise InvalidProof(f"the tiles do not lead to the root {root.hex()}", check=7)


def _root_of_edge(size: int, edge: Sequence[Sequence[Digest]]) -> Digest:
    """The root, from the hashes of the partial tile at each level."""
    peaks: list[Digest] = []
    for hashes in reversed(edge):
        peaks += Frontier.empty().extend(hashes).peaks
    return Frontier(size, tuple(peaks)).root() if size else EMPTY_ROOT


def _cut(count: int, known: int) -> Iterator[tuple[int, int]]:
    """Index and width of the tiles of a row of `count` hashes, but for those that a row of `known` has."""
    for index in range(known // TILE_WIDTH, -(-count // TILE_WIDTH)):
        width = min(TILE_WIDTH, count - index * TILE_WIDTH)
        if index * TILE_WIDTH + width > known:
            yield index, width
