"""Vectors of the Merkle tree: roots, inclusion and consistency proofs, and every way to bend one."""

from collections.abc import Sequence
from typing import Any

from tallynet.protocol import merkle
from tallynet.protocol.merkle import MAX_SIZE
from tallynet.protocol.merkle_tree import Tree
from tallynet.protocol.units import Digest
from tests.protocol.examples import digest
from tests.protocol.json_form import write

TREE = Tree(merkle.leaf_hash(number.to_bytes(4, "big")) for number in range(1000))
SIZES = (*range(17), 255, 256, 257, 1000)
PAIRS = ((0, 1000), (511, 1000), (512, 1000), (998, 1000), (999, 1000), (256, 257))


def merkle_cases() -> dict[str, Any]:
    return {
        "leaf": "leaf number i is the four bytes of i, big-endian; its hash is SHA-256(0x00 ‖ leaf)",
        "leaf_hashes": [write(TREE.leaf(index)) for index in range(8)],
        "roots": [{"size": size, "root": write(TREE.root(size))} for size in SIZES],
        "inclusion": [inclusion(index, size) for index, size in (*small(0), *PAIRS)],
        "invalid_inclusion": [
            {**case, "error": "invalid-proof", "check": check, "reason": reason}
            for check, case, reason in bad_inclusions()
        ],
        "consistency": [consistency(old, size) for old, size in (*small(1), *PAIRS[1:], (8, 8))],
        "invalid_consistency": [
            {**case, "error": "invalid-proof", "check": check, "reason": reason}
            for check, case, reason in bad_consistencies()
        ],
    }


def small(first: int) -> Sequence[tuple[int, int]]:
    return [(low, size) for size in range(1, 9) for low in range(first, size)]


def inclusion(index: int, size: int, /, **changes: Any) -> dict[str, Any]:
    case = {
        "leaf_hash": write(TREE.leaf(index)),
        "index": index,
        "size": size,
        "path": write(TREE.inclusion(index, size)),
        "root": write(TREE.root(size)),
    }
    return {**case, **changes}


def consistency(old: int, size: int, /, **changes: Any) -> dict[str, Any]:
    case = {
        "old_size": old,
        "old_root": write(TREE.root(old)),
        "size": size,
        "root": write(TREE.root(size)),
        "path": write(TREE.consistency(old, size)),
    }
    return {**case, **changes}


def bad_inclusions() -> Sequence[tuple[int, dict[str, Any], str]]:
    path = TREE.inclusion(5, 13)
    return (
        (1, inclusion(5, 13, size=0), "an empty tree"),
        (1, inclusion(5, 13, size=MAX_SIZE), "a tree of 2**40 leaves"),
        (2, inclusion(5, 13, index=13), "a leaf outside the tree"),
        (3, inclusion(5, 13, path=write([*path[:-1], path[-1][:31]])), "a hash of 31 bytes"),
        (3, inclusion(5, 13, path=write(path * 16)), "64 hashes"),
        (4, inclusion(5, 13, path=write(path[:-1])), "a hash too few"),
        (4, inclusion(5, 13, path=write([*path, path[-1]])), "a hash too many"),
        (4, inclusion(5, 13, index=12), "a leaf that takes a shorter path"),
        (5, inclusion(5, 13, index=4), "the index of its sibling"),
        (5, inclusion(5, 13, path=write(path[::-1])), "the path upside down"),
        (5, inclusion(5, 13, leaf_hash=write(TREE.leaf(6))), "another leaf"),
        (5, inclusion(5, 13, root=write(TREE.root(14))), "the root of another size"),
        (5, inclusion(5, 13, path=write([flipped(path[0]), *path[1:]])), "a flipped bit"),
    )


def bad_consistencies() -> Sequence[tuple[int, dict[str, Any], str]]:
    path = TREE.consistency(6, 13)
    return (
        (1, consistency(6, 13, old_size=0), "an empty old log proves nothing"),
        (1, consistency(6, 13, old_size=14), "the old log is the larger"),
        (1, consistency(6, 13, size=MAX_SIZE), "a log of 2**40 leaves"),
        (2, consistency(6, 13, path=write([path[0][:31], *path[1:]])), "a hash of 31 bytes"),
        (3, consistency(6, 13, path=write(path[:-1])), "a hash too few"),
        (3, consistency(6, 13, path=write([*path, digest("x")])), "a hash too many"),
        (3, consistency(8, 8, path=write([digest("x")])), "equal sizes take no path"),
        (4, consistency(6, 13, old_root=write(digest("rewritten"))), "another old root"),
        (4, consistency(6, 13, path=write([flipped(path[0]), *path[1:]])), "a flipped bit"),
        (5, consistency(6, 13, root=write(digest("rewritten"))), "another new root"),
        (5, consistency(8, 8, old_root=write(digest("forked"))), "equal sizes, two roots"),
    )


def flipped(hashed: Digest) -> bytes:
    return bytes([hashed[0] ^ 1]) + hashed[1:]
