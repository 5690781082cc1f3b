"""The append-only tree that every node keeps its runs in (RFC 9162 §2.1, SHA-256).

A log of n leaves has one root. An inclusion proof shows that a leaf is under a root, a consistency proof that
a smaller log is the beginning of a larger one. Both have at most `ceil(log2 n) + 1` hashes, and
`contracts/ledger.vy` checks the same proofs by the same rules.

    leaf hash   SHA256(0x00 ‖ leaf)         node hash   SHA256(0x01 ‖ left ‖ right)

The prefixes keep a leaf from being passed off as a node. `merkle_tree` keeps logs and makes their proofs.

Nothing here knows what a leaf means or who signed it.
"""

from collections.abc import Sequence
from hashlib import sha256

from tallynet.protocol.errors import InvalidProof
from tallynet.protocol.units import Digest, short

MAX_SIZE = 2**40
"""A log has fewer leaves than this, so that an index fits the 40 bits of C2SP static-ct."""

MAX_PATH = 63
"""Hashes in a proof at most (C2SP tlog-witness); 41 is the longest that a log below `MAX_SIZE` can need."""

EMPTY_ROOT = Digest(sha256(b"").digest())
"""Root of a log without leaves."""

Path = Sequence[Digest]
"""The hashes of a proof in RFC 9162 order, from the leaves up."""


def leaf_hash(data: bytes) -> Digest:
    return Digest(sha256(b"\x00" + data).digest())


def node_hash(left: Digest, right: Digest) -> Digest:
    return Digest(sha256(b"\x01" + left + right).digest())


def root(leaf_hashes: Sequence[Digest]) -> Digest:
    """Root of the whole log, level by level; a node without a sibling moves up as it is."""
    if not leaf_hashes:
        return EMPTY_ROOT
    level = list(leaf_hashes)
    while len(level) > 1:
        alone = level[-1:] if len(level) % 2 else []
        pairs = zip(level[::2], level[1::2], strict=False)
        level = [Digest(sha256(b"\x01" + left + right).digest()) for left, right in pairs] + alone
    return level[0]


def trailing_zeros(number: int) -> int:
    """How often 2 divides `number`, 1 or more: the level of the last whole subtree of so many leaves."""
    return (number & -number).bit_length() - 1


def verify_inclusion(leaf: Digest, index: int, size: int, path: Path, root: Digest) -> None:
    """Check that the leaf hash `leaf` is number `index` of the `size` under `root` (RFC 9162 §2.1.3.2).

    Raises `InvalidProof`, whose `check` is the number below.
    """
    # (1) the tree has leaves, and fewer than 2**40
    if not 0 < size < MAX_SIZE:
        raise InvalidProof(f"tree size {size} is not in 1..2**40-1", check=1, evidence={"size": size})
    # (2) the leaf is inside the tree
    if not 0 <= index < size:
        evidence = {"index": index, "size": size}
        raise InvalidProof(f"leaf {index} is outside a tree of {size}", check=2, evidence=evidence)
    # (3) there are at most 63 hashes, and each has 32 bytes
    _check_widths(path, leaf, root, check=3)
    # (4) the path has the one length that this leaf and size ask for
    inner, border = _climb(index, size - 1)
    _check_length(path, inner + border, check=4)
    # (5) the leaf and the path lead to the root
    computed = _fold_left(_fold(leaf, path[:inner], index), path[inner:])
    _check_root("the path", computed, root, check=5, path=path)


def prefix_root(leaf: Digest, index: int, size: int, path: Path) -> Digest:
    """Root of the first `index + 1` leaves, of which `leaf` is the last, from its inclusion proof in `size` leaves.

    The siblings on the left are all that lies before the leaf. Call only for a proof that `verify_inclusion` accepts.
    """
    inner, _ = _climb(index, size - 1)
    lefts = [sibling for bit, sibling in enumerate(path[:inner]) if index >> bit & 1]
    return _fold_left(_fold_left(leaf, lefts), path[inner:])


def verify_consistency(old_size: int, old_root: Digest, size: int, root: Digest, path: Path) -> None:
    """Check that the log (old_size, old_root) is the beginning of (size, root) (RFC 9162 §2.1.4.2).

    An empty old log is refused: it is the beginning of everything and so proves nothing. Equal sizes take an
    empty path and equal roots. Raises `InvalidProof`, whose `check` is the number below.
    """
    # (1) neither log is empty, the older is not the larger, and both have fewer than 2**40 leaves
    if not 0 < old_size <= size < MAX_SIZE:
        evidence = {"old_size": old_size, "size": size}
        raise InvalidProof(f"not 1 ≤ {old_size} ≤ {size} < 2**40 leaves", check=1, evidence=evidence)
    # (2) there are at most 63 hashes, and each has 32 bytes
    _check_widths(path, old_root, root, check=2)
    # (3) the path has the one length that these sizes ask for
    level = trailing_zeros(old_size)
    last = (old_size - 1) >> level  # the last whole subtree of the old log: here the climb begins
    inner, border = _climb(last, (size - 1) >> level) if old_size < size else (0, 0)
    named = last > 0 and old_size < size  # unless it is the whole old log, the path names it first
    _check_length(path, named + inner + border, check=3)
    start, siblings = (path[0], path[1:]) if named else (old_root, path)
    # (4) the path leads to the old root
    lefts = [sibling for bit, sibling in enumerate(siblings[:inner]) if last >> bit & 1]
    computed = _fold_left(_fold_left(start, lefts), siblings[inner:])
    _check_root("the path to the old head", computed, old_root, check=4, path=path)
    # (5) the path leads to the new root
    computed = _fold_left(_fold(start, siblings[:inner], last), siblings[inner:])
    _check_root("the path to the new head", computed, root, check=5, path=path)


def _climb(node: int, last: int) -> tuple[int, int]:
    """Siblings below and above the point where the climb from `node` meets the right edge, from `last`."""
    inner = (node ^ last).bit_length()
    return inner, (node >> inner).bit_count()


def _fold(start: Digest, siblings: Path, turns: int) -> Digest:
    """Climb: bit k of `turns` says whether sibling k is on the left."""
    computed: bytes = start
    for sibling in siblings:
        computed = sha256(b"\x01" + (sibling + computed if turns & 1 else computed + sibling)).digest()
        turns >>= 1
    return Digest(computed)


def _fold_left(start: Digest, siblings: Path) -> Digest:
    """Climb along the right edge: every sibling is on the left."""
    for sibling in siblings:
        start = node_hash(sibling, start)
    return start


def _check_widths(path: Path, *others: Digest, check: int) -> None:
    if len(path) > MAX_PATH:
        evidence = {"found": len(path), "most": MAX_PATH}
        raise InvalidProof(f"the path has {len(path)} hashes, over {MAX_PATH}", check=check, evidence=evidence)
    for found in (*others, *path):
        if len(found) != 32:
            raise InvalidProof(f"a hash of {len(found)} bytes, not 32", check=check, evidence={"hash": found})


def _check_length(path: Path, expected: int, *, check: int) -> None:
    if len(path) != expected:
        evidence = {"found": len(path), "expected": expected}
        raise InvalidProof(f"the path has {len(path)} hashes, not {expected}", check=check, evidence=evidence)


def _check_root(what: str, computed: Digest, expected: Digest, *, check: int, path: Path) -> None:
    if computed != expected:
        message = f"{what} leads to {short(computed)}, not {short(expected)}"
        evidence = {"computed": computed, "expected": expected, "path": tuple(path)}
        raise InvalidProof(message, check=check, evidence=evidence)
