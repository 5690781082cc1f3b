"""Logs as they are kept, against RFC 9162 written naively."""

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallynet.protocol import merkle
from tallynet.protocol.errors import InvalidProof
from tallynet.protocol.merkle_tree import Frontier, Tree, consistency_path, inclusion_path
from tallynet.protocol.units import Digest

# The eight leaves of the Certificate Transparency test tree, which every implementation of RFC 6962 carries.
EIGHT_LEAVES = [bytes.fromhex(text) for text in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"
)]  # fmt: skip
EIGHT_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
LEAVES = [merkle.leaf_hash(number.to_bytes(2, "big")) for number in range(300)]
TREE = Tree(LEAVES)


def split(size: int) -> int:
    """The largest power of two below `size` (RFC 9162 §2.1.1)."""
    return 1 << (size - 1).bit_length() - 1


def naive_root(leaves: list[Digest]) -> bytes:
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return sha256(b"\x01" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


def naive_path(index: int, leaves: list[Digest]) -> list[bytes]:
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if index < k:
        return [*naive_path(index, leaves[:k]), naive_root(leaves[k:])]
    return [*naive_path(index - k, leaves[k:]), naive_root(leaves[:k])]


def naive_proof(old: int, leaves: list[Digest], whole: bool = True) -> list[bytes]:
    if old == len(leaves):
        return [] if whole else [naive_root(leaves)]
    k = split(len(leaves))
    if old <= k:
        return [*naive_proof(old, leaves[:k], whole), naive_root(leaves[k:])]
    return [*naive_proof(old - k, leaves[k:], False), naive_root(leaves[:k])]


def test_the_eight_leaf_tree_has_the_published_roots_at_every_size() -> None:
    leaves = [merkle.leaf_hash(data) for data in EIGHT_LEAVES]

    assert [merkle.root(leaves[:size]).hex() for size in range(9)] == EIGHT_ROOTS
    assert [naive_root(leaves[:size]).hex() for size in range(9)] == EIGHT_ROOTS


@settings(deadline=None, max_examples=150)
@given(size=st.integers(0, 300))
def test_roots_equal_the_naive_ones(size: int) -> None:
    expected = naive_root(LEAVES[:size])

    assert merkle.root(LEAVES[:size]) == expected
    assert TREE.root(size) == expected
    assert Frontier.empty().extend(LEAVES[:size]).root() == expected
    assert TREE.frontier(size) == Frontier.empty().extend(LEAVES[:size])


@settings(deadline=None, max_examples=100)
@given(data=st.data(), size=st.integers(1, 300))
def test_paths_equal_the_naive_ones_and_hold(data: st.DataObject, size: int) -> None:
    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(1, size))

    path = TREE.inclusion(index, size)
    assert path == naive_path(index, LEAVES[:size]) == inclusion_path(LEAVES[:size], index)
    merkle.verify_inclusion(LEAVES[index], index, size, path, TREE.root(size))

    proof = TREE.consistency(old, size)
    assert proof == naive_proof(old, LEAVES[:size]) == consistency_path(LEAVES[:size], old)
    merkle.verify_consistency(old, TREE.root(old), size, TREE.root(size), proof)


def test_all_proofs_of_all_small_trees_hold() -> None:
    for size in range(1, 66):
        for index in range(size):
            path = TREE.inclusion(index, size)
            merkle.verify_inclusion(LEAVES[index], index, size, path, TREE.root(size))
            proof = TREE.consistency(index + 1, size)
            merkle.verify_consistency(index + 1, TREE.root(index + 1), size, TREE.root(size), proof)


@given(batches=st.lists(st.integers(0, 40), max_size=7))
def test_leaves_may_come_one_by_one_or_in_batches(batches: list[int]) -> None:
    grown, count = Tree(), 0
    for batch in batches:
        grown.extend(LEAVES[count : count + batch])
        count += batch
    one_by_one = Tree()

    assert [one_by_one.append(leaf) for leaf in LEAVES[:count]] == list(range(count))
    assert grown.size == one_by_one.size == count
    assert all(grown.root(size) == one_by_one.root(size) == TREE.root(size) for size in range(count + 1))
    assert [grown.leaf(index) for index in range(count)] == LEAVES[:count]


def test_a_tree_refuses_what_it_does_not_have() -> None:
    tree = Tree(LEAVES[:5])
    for ask in (
        lambda: tree.root(6),
        lambda: tree.root(-1),
        lambda: tree.leaf(5),
        lambda: tree.leaf(-1),
        lambda: tree.inclusion(5),
        lambda: tree.inclusion(3, 3),
        lambda: tree.inclusion(-1),
        lambda: tree.inclusion(0, 6),
        lambda: tree.consistency(0),
        lambda: tree.consistency(4, 3),
        lambda: tree.consistency(1, 6),
    ):
        with pytest.raises(ValueError, match=r"tree of|consistency proof"):
            ask()
    with pytest.raises(ValueError, match="leaf hash"):
        tree.extend([LEAVES[5], Digest(b"short")])
    assert tree.size == 5


def test_a_row_is_the_roots_of_whole_subtrees() -> None:
    leaves = [merkle.leaf_hash(bytes([number])) for number in range(11)]
    tree = Tree(leaves)

    assert tree.row(0, 3, 8) == b"".join(leaves[3:])
    assert tree.row(2, 0, 2) == merkle.root(leaves[:4]) + merkle.root(leaves[4:8])


@pytest.mark.parametrize(
    ("level", "start", "count"), [(0, 0, 12), (0, 11, 1), (2, 0, 3), (-1, 0, 1), (0, -1, 1), (0, 0, 0)]
)
def test_a_row_that_the_tree_does_not_have(level: int, start: int, count: int) -> None:
    tree = Tree(merkle.leaf_hash(bytes([number])) for number in range(11))

    with pytest.raises(ValueError, match="subtrees"):
        tree.row(level, start, count)


# The frontier


@given(size=st.integers(0, 300))
def test_a_frontier_survives_its_bytes(size: int) -> None:
    frontier = TREE.frontier(size)

    assert Frontier.from_bytes(frontier.to_bytes()) == frontier
    assert len(frontier.to_bytes()) == 8 + 32 * size.bit_count()


def test_appending_leaves_the_older_frontier_as_it_was() -> None:
    older = TREE.frontier(7)
    newer = older.append(LEAVES[7])

    assert (older.size, older.root()) == (7, TREE.root(7))
    assert (newer.size, newer.root()) == (8, TREE.root(8))


@pytest.mark.parametrize(
    ("data", "check"),
    [
        (b"", 1),
        (bytes(7), 1),
        ((2**40).to_bytes(8, "big") + bytes(32), 1),
        (b"\xff" * 8 + bytes(32 * 64), 1),
        ((3).to_bytes(8, "big") + bytes(32), 2),
        ((3).to_bytes(8, "big") + bytes(65), 2),
        (bytes(8) + bytes(1), 2),
    ],
)
def test_bytes_that_are_no_frontier_are_refused(data: bytes, check: int) -> None:
    with pytest.raises(InvalidProof) as refusal:
        Frontier.from_bytes(data)
    assert refusal.value.check == check


def test_a_frontier_with_too_few_peaks_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="peaks"):
        Frontier(3, (LEAVES[0],))
