"""Logs as they are kept: what it takes to append a leaf, to know the root, and to make the proofs of `merkle`.

A `Frontier` is enough to append and to know the root; a `Tree` also makes proofs, for any size the log has ever had.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Self

from tallynet.protocol.errors import InvalidProof
from tallynet.protocol.merkle import EMPTY_ROOT, MAX_SIZE, node_hash, trailing_zeros
from tallynet.protocol.units import Digest


@dataclass(frozen=True, slots=True)
class Frontier:
    """The roots of the whole subtrees a log is made of: all it takes to append, in at most 40 hashes."""

    size: int
    """Leaves so far, 0 ≤ size < 2**40."""
    peaks: tuple[Digest, ...]
    """One root for each 1 bit of `size`, the largest subtree first."""

    def __post_init__(self) -> None:
        if not 0 <= self.size < MAX_SIZE or len(self.peaks) != self.size.bit_count():
            raise ValueError(f"{len(self.peaks)} peaks do not make a tree of {self.size} leaves")

    @classmethod
    def empty(cls) -> Self:
        return cls(0, ())

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The inverse of `to_bytes`. Raises `InvalidProof` for any other bytes."""
        size = int.from_bytes(data[:8], "big")
        # (1) the size is whole and in bounds
        if len(data) < 8 or size >= MAX_SIZE:
            message = f"frontier of {len(data)} bytes, size {size}, not below 2**40"
            raise InvalidProof(message, check=1, evidence={"bytes": data})
        # (2) there is one 32-byte peak for each 1 bit of the size, and nothing else
        if len(data) != 8 + 32 * size.bit_count():
            message = f"frontier of size {size} has {len(data)} bytes, not {8 + 32 * size.bit_count()}"
            raise InvalidProof(message, check=2, evidence={"bytes": data})
        return cls(size, tuple(Digest(data[at : at + 32]) for at in range(8, len(data), 32)))

    def to_bytes(self) -> bytes:
        """`size` as 8 bytes, big-endian, then the peaks."""
        return self.size.to_bytes(8, "big") + b"".join(self.peaks)

    def append(self, leaf_hash: Digest) -> Self:
        """The frontier of the log with one leaf more; this one stays as it is."""
        return self.extend((leaf_hash,))

    def extend(self, leaf_hashes: Iterable[Digest]) -> Self:
        size, peaks = self.size, list(self.peaks)
        for peak in leaf_hashes:
            for _ in range(trailing_zeros(size + 1)):
                peak = node_hash(peaks.pop(), peak)
            peaks.append(peak)
            size += 1
        return type(self)(size, tuple(peaks))

    def root(self) -> Digest:
        return _bag(self.peaks)


class Tree:
    """A growing log with every node in memory, 64 bytes a leaf; proofs for any past size in O(log n).

    Sizes and indexes that the tree does not have raise `ValueError`.
    """

    def __init__(self, leaf_hashes: Iterable[Digest] = ()) -> None:
        self._levels = [bytearray()]  # level k: the roots of all whole subtrees of 2**k leaves, 32 bytes each
        self.extend(leaf_hashes)

    @property
    def size(self) -> int:
        return len(self._levels[0]) // 32

    def append(self, leaf_hash: Digest) -> int:
        """Add one leaf and return its index."""
        self.extend((leaf_hash,))
        return self.size - 1

    def extend(self, leaf_hashes: Iterable[Digest]) -> None:
        """Add many leaves; all or none."""
        added = b"".join(_checked(leaf) for leaf in leaf_hashes)
        if self.size + len(added) // 32 >= MAX_SIZE:
            raise ValueError("a log has fewer than 2**40 leaves")
        self._levels[0] += added
        self._hash_whole_subtrees()

    def leaf(self, index: int) -> Digest:
        """The leaf hash at `index`."""
        self._check(index + 1, lowest=1)
        return self._whole(0, index)

    def row(self, level: int, start: int, count: int) -> bytes:
        """Roots of `count` whole subtrees of 2**level leaves each, from number `start` on: 32 bytes each, joined."""
        if level < 0 or start < 0 or count < 1 or (start + count) << level > self.size:
            raise ValueError(f"no {count} subtrees from {start} on at level {level} of {self.size} leaves")
        return bytes(self._levels[level][32 * start : 32 * (start + count)])

    def frontier(self, size: int | None = None) -> Frontier:
        """The frontier of the first `size` leaves (default: all)."""
        size = self._check(self.size if size is None else size, lowest=0)
        return Frontier(size, tuple(self._peaks(0, size)))

    def root(self, size: int | None = None) -> Digest:
        """Root of the first `size` leaves (default: all)."""
        return self.frontier(size).root()

    def inclusion(self, index: int, size: int | None = None) -> list[Digest]:
        """Proof that leaf `index` is in the log of the first `size` leaves, 0 ≤ index < size."""
        size = self._check(self.size if size is None else size, lowest=1)
        if not 0 <= index < size:
            raise ValueError(f"leaf {index} is outside a tree of {size}")
        return self._siblings(index, 0, size)

    def consistency(self, old_size: int, size: int | None = None) -> list[Digest]:
        """Proof that the first `old_size` leaves begin the log of the first `size`, 1 ≤ old_size ≤ size."""
        size = self._check(self.size if size is None else size, lowest=1)
        if not 0 < old_size <= size:
            raise ValueError(f"no consistency proof from size {old_size} to {size}")
        if old_size == size:
            return []
        level = trailing_zeros(old_size)
        last = (old_size - 1) >> level  # the last whole subtree of the old log
        start = [self._whole(level, last)] if last else []
        return start + self._siblings(last, level, size)

    def _hash_whole_subtrees(self) -> None:
        for level, nodes in enumerate(self._levels):
            if len(nodes) < 64:
                return
            if level + 1 == len(self._levels):
                self._levels.append(bytearray())
            above = self._levels[level + 1]
            for at in range(2 * len(above), len(nodes) - 63, 64):
                above += sha256(b"\x01" + nodes[at : at + 64]).digest()

    def _siblings(self, node: int, level: int, size: int) -> list[Digest]:
        """The siblings met while climbing from `node` of `level` to the root of the first `size` leaves."""
        path = []
        last = (size - 1) >> level
        while last:
            if node & 1:
                path.append(self._whole(level, node - 1))
            elif node < last:
                path.append(self._subtree(level, node + 1, size))
            node, last, level = node >> 1, last >> 1, level + 1
        return path

    def _subtree(self, level: int, node: int, size: int) -> Digest:
        """A subtree's root as it was when the log had `size` leaves: whole, or cut at the right edge."""
        if (node + 1) << level <= size:
            return self._whole(level, node)
        return _bag(list(self._peaks(node << level, size)))

    def _peaks(self, begin: int, end: int) -> Iterable[Digest]:
        """Roots of the whole subtrees that leaves `begin` to `end` are made of; `begin` is aligned."""
        for level in reversed(range((end - begin).bit_length())):
            if (end - begin) >> level & 1:
                yield self._whole(level, begin >> level)
                begin += 1 << level

    def _whole(self, level: int, node: int) -> Digest:
        return Digest(bytes(self._levels[level][32 * node : 32 * node + 32]))

    def _check(self, size: int, *, lowest: int) -> int:
        if not lowest <= size <= self.size:
            raise ValueError(f"no size {size} in a tree of {self.size} leaves")
        return size


def inclusion_path(leaf_hashes: Iterable[Digest], index: int) -> list[Digest]:
    """PATH(m, D_n) of RFC 9162 §2.1.3.1. `ValueError` unless 0 ≤ index < the number of leaves."""
    tree = Tree(leaf_hashes)
    return tree.inclusion(index, tree.size)


def consistency_path(leaf_hashes: Iterable[Digest], old_size: int) -> list[Digest]:
    """PROOF(m, D_n) of RFC 9162 §2.1.4.1. `ValueError` unless 1 ≤ old_size ≤ the number of leaves."""
    tree = Tree(leaf_hashes)
    return tree.consistency(old_size, tree.size)


def _bag(peaks: Sequence[Digest]) -> Digest:
    """Root of the tree whose whole subtrees, largest first, have these roots."""
    if not peaks:
        return EMPTY_ROOT
    bagged = peaks[-1]
    for peak in peaks[-2::-1]:
        bagged = node_hash(peak, bagged)
    return bagged


def _checked(leaf_hash: Digest) -> Digest:
    if len(leaf_hash) != 32:
        raise ValueError(f"a leaf hash has 32 bytes, not {len(leaf_hash)}")
    return leaf_hash
