"""What an auditor spends: re-hashing a log, checking inclusion, recovering signers; each against its bare primitive."""

import time
from collections.abc import Callable
from hashlib import sha256

from coincurve import PublicKey

from tallynet.devnet.bench.leaves import make_leaf
from tallynet.devnet.bench.report import Row, compare
from tallynet.protocol.keys import Key, recover
from tallynet.protocol.merkle import leaf_hash, verify_inclusion
from tallynet.protocol.merkle_tree import Tree
from tallynet.protocol.units import Digest


def measure_proofs(rounds: int, size: int) -> list[Row]:
    """Single core. `size` is the number of leaves in the log, above 1."""
    data = [make_leaf(number).pack() for number in range(size)]
    return [_rehash(data, rounds), _inclusion(data, rounds), _recover(rounds, max(1, size // 50))]


def _rehash(data: list[bytes], rounds: int) -> Row:
    """A leaf costs its own hash, and on average one of an inner node."""

    def bare() -> None:
        for leaf in data:
            sha256(leaf)
            sha256(leaf[:65])

    def rehash() -> None:
        Tree(map(leaf_hash, data)).root()

    pairs = _in_turns(bare, rehash, len(data), rounds)
    return compare("rehashed_leaves_per_second", "leaves re-hashed / bare SHA-256", "/s", pairs)


def _inclusion(data: list[bytes], rounds: int) -> Row:
    """A path is as long as the log's depth; the bare primitive hashes as often."""
    tree = Tree(map(leaf_hash, data))
    root, indexes = tree.root(), range(0, len(data), 10)
    proofs = [(leaf_hash(data[index]), index, tree.inclusion(index, tree.size)) for index in indexes]

    def bare() -> None:
        for leaf, _, path in proofs:
            for sibling in path:
                sha256(b"\x01" + leaf + sibling)

    def check() -> None:
        for leaf, index, path in proofs:
            verify_inclusion(leaf, index, tree.size, path, root)

    pairs = _in_turns(bare, check, len(proofs), rounds)
    return compare("inclusion_checks_per_second", "inclusion checks / bare SHA-256", "/s", pairs)


def _recover(rounds: int, count: int) -> Row:
    key = Key.generate()
    digests = [Digest(sha256(number.to_bytes(8, "big")).digest()) for number in range(count)]
    signed = [(digest, key.sign(digest)) for digest in digests]
    raw = [(digest, signature[:64] + bytes([signature[64] - 27])) for digest, signature in signed]

    def bare() -> None:
        for digest, signature in raw:
            PublicKey.from_signature_and_message(signature, digest, hasher=None)

    def check() -> None:
        for digest, signature in signed:
            recover(digest, signature)

    pairs = _in_turns(bare, check, count, rounds)
    return compare("signatures_recovered_per_second", "signers recovered / libsecp256k1", "/s", pairs)


def _in_turns(bare: Callable[[], None], ours: Callable[[], None], count: int, rounds: int) -> list[tuple[float, float]]:
    """How often a second, A B A B …"""
    return [(count / _seconds(bare), count / _seconds(ours)) for _ in range(rounds)]


def _seconds(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
