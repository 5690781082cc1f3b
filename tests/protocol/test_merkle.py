"""Hashes of the tree, and every way to bend a proof."""

import random

import pytest

from tallynet.protocol import merkle
from tallynet.protocol.errors import InvalidProof
from tallynet.protocol.merkle_tree import Frontier, Tree
from tallynet.protocol.units import Digest

LEAVES = [merkle.leaf_hash(number.to_bytes(2, "big")) for number in range(300)]
TREE = Tree(LEAVES)


def flip(data: bytes, bit: int) -> Digest:
    return Digest((int.from_bytes(data, "big") ^ 1 << bit).to_bytes(len(data), "big"))


# What is hashed


def test_the_empty_log_has_the_root_of_nothing() -> None:
    assert merkle.EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert merkle.root([]) == Tree().root() == Frontier.empty().root() == merkle.EMPTY_ROOT


def test_leaf_and_node_hashes_are_those_of_rfc_6962() -> None:
    assert merkle.leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert merkle.leaf_hash(b"L123456").hex() == "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56"
    node = merkle.node_hash(Digest(b"N123"), Digest(b"N456"))
    assert node.hex() == "aa217fe888e47007fa15edab33c2b492a722cb106c64667fc2b044444de66bbb"


# Proofs that must not hold


def refused_inclusion(
    leaf: Digest, index: int, size: int, path: list[Digest], root: Digest, check: int
) -> InvalidProof:
    with pytest.raises(InvalidProof) as refusal:
        merkle.verify_inclusion(leaf, index, size, path, root)
    assert refusal.value.check == check
    return refusal.value


def refused_consistency(
    old: int, old_root: Digest, size: int, root: Digest, path: list[Digest], check: int
) -> InvalidProof:
    with pytest.raises(InvalidProof) as refusal:
        merkle.verify_consistency(old, old_root, size, root, path)
    assert refusal.value.check == check
    return refusal.value


INDEX, SIZE = 100, 213
PATH, ROOT = TREE.inclusion(INDEX, SIZE), TREE.root(SIZE)
OLD, OLD_ROOT, PROOF = 86, TREE.root(86), TREE.consistency(86, SIZE)


def test_every_flipped_bit_of_an_inclusion_proof_is_refused() -> None:
    for at in range(len(PATH)):
        for bit in range(256):
            bent = [*PATH[:at], flip(PATH[at], bit), *PATH[at + 1 :]]
            refused_inclusion(LEAVES[INDEX], INDEX, SIZE, bent, ROOT, check=5)
    for bit in range(256):
        refused_inclusion(flip(LEAVES[INDEX], bit), INDEX, SIZE, PATH, ROOT, check=5)
        refused_inclusion(LEAVES[INDEX], INDEX, SIZE, PATH, flip(ROOT, bit), check=5)


def test_every_flipped_bit_of_a_consistency_proof_is_refused() -> None:
    for at in range(len(PROOF)):
        for bit in range(256):
            bent = [*PROOF[:at], flip(PROOF[at], bit), *PROOF[at + 1 :]]
            with pytest.raises(InvalidProof, match="leads to"):
                merkle.verify_consistency(OLD, OLD_ROOT, SIZE, ROOT, bent)
    for bit in range(256):
        refused_consistency(OLD, flip(OLD_ROOT, bit), SIZE, ROOT, PROOF, check=4)
        refused_consistency(OLD, OLD_ROOT, SIZE, flip(ROOT, bit), PROOF, check=5)


def test_a_leaf_is_at_no_other_index() -> None:
    for index in range(SIZE):
        if index != INDEX:
            refused_inclusion(LEAVES[INDEX], index, SIZE, PATH, ROOT, 5 if len(TREE.inclusion(index, SIZE)) == 8 else 4)


def test_a_path_with_a_hash_more_or_less_is_refused() -> None:
    refused_inclusion(LEAVES[INDEX], INDEX, SIZE, PATH[:-1], ROOT, check=4)
    refused_inclusion(LEAVES[INDEX], INDEX, SIZE, [*PATH, ROOT], ROOT, check=4)
    refused_consistency(OLD, OLD_ROOT, SIZE, ROOT, PROOF[:-1], check=3)
    refused_consistency(OLD, OLD_ROOT, SIZE, ROOT, [*PROOF, ROOT], check=3)
    refused_consistency(OLD, OLD_ROOT, SIZE, ROOT, [], check=3)


def test_sizes_out_of_bounds_are_refused() -> None:
    refused_inclusion(LEAVES[0], 0, 0, [], ROOT, check=1)
    refused_inclusion(LEAVES[0], 0, 2**40, PATH, ROOT, check=1)
    refused_inclusion(LEAVES[0], SIZE, SIZE, PATH, ROOT, check=2)
    refused_inclusion(LEAVES[0], -1, SIZE, PATH, ROOT, check=2)
    refused_consistency(0, merkle.EMPTY_ROOT, SIZE, ROOT, [], check=1)
    refused_consistency(SIZE, ROOT, OLD, OLD_ROOT, PROOF, check=1)
    refused_consistency(OLD, OLD_ROOT, 2**40, ROOT, PROOF, check=1)


def test_hashes_of_another_width_are_refused() -> None:
    short = Digest(ROOT[:31])
    refused_inclusion(short, INDEX, SIZE, PATH, ROOT, check=3)
    refused_inclusion(LEAVES[INDEX], INDEX, SIZE, [*PATH[:-1], short], ROOT, check=3)
    refused_inclusion(LEAVES[INDEX], INDEX, SIZE, [ROOT] * 64, ROOT, check=3)
    refused_consistency(OLD, short, SIZE, ROOT, PROOF, check=2)
    refused_consistency(OLD, OLD_ROOT, SIZE, ROOT, [*PROOF[:-1], short], check=2)
    refused_consistency(OLD, OLD_ROOT, SIZE, ROOT, [ROOT] * 64, check=2)


def test_one_size_has_one_root_and_needs_no_path() -> None:
    merkle.verify_consistency(SIZE, ROOT, SIZE, ROOT, [])
    refused_consistency(SIZE, ROOT, SIZE, OLD_ROOT, [], check=5)
    refused_consistency(SIZE, ROOT, SIZE, ROOT, PROOF, check=3)


def test_a_rewritten_past_has_no_proof() -> None:
    forked = Tree([*LEAVES[:50], merkle.leaf_hash(b"another"), *LEAVES[51:SIZE]])
    refused_consistency(OLD, OLD_ROOT, SIZE, forked.root(), forked.consistency(OLD), check=4)
    refused_consistency(OLD, OLD_ROOT, SIZE, forked.root(), PROOF, check=5)


def test_a_node_is_not_accepted_as_a_leaf() -> None:
    """Without the 0x00 and 0x01 prefixes an inner node would pass as the leaf of a smaller tree."""
    inner = LEAVES[0] + LEAVES[1]
    refused_inclusion(merkle.leaf_hash(inner), 0, 2, [merkle.node_hash(LEAVES[2], LEAVES[3])], TREE.root(4), 5)


def test_a_refusal_carries_both_values() -> None:
    error = refused_inclusion(LEAVES[INDEX], INDEX, SIZE, PATH, OLD_ROOT, check=5)
    assert error.evidence["computed"] == ROOT
    assert error.evidence["expected"] == OLD_ROOT
    assert ROOT.hex()[:4] in str(error)
    assert OLD_ROOT.hex()[:4] in str(error)


def test_proofs_of_a_large_log_are_short_and_hold() -> None:
    size = 2**16 + 12345
    tree = Tree(merkle.leaf_hash(number.to_bytes(4, "big")) for number in range(size))
    for index in random.Random(9162).sample(range(1, size), 50):
        path = tree.inclusion(index, size)
        assert len(path) <= 17
        merkle.verify_inclusion(tree.leaf(index), index, size, path, tree.root())
        proof = tree.consistency(index, size)
        assert len(proof) <= 18
        merkle.verify_consistency(index, tree.root(index), size, tree.root(), proof)


def test_an_inclusion_proof_gives_the_root_of_all_that_lies_before() -> None:
    leaves = [merkle.leaf_hash(bytes([number])) for number in range(70)]
    tree = Tree(leaves)
    for size in (1, 2, 3, 7, 8, 9, 31, 64, 65, 70):
        for index in range(size):
            path = tree.inclusion(index, size)
            assert merkle.prefix_root(leaves[index], index, size, path) == tree.root(index + 1)
