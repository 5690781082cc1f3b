"""Python and Vyper agree on every proof: the same verdict, and the same reason where it is no."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tallynet.protocol import merkle
from tallynet.protocol.errors import InvalidProof
from tallynet.protocol.merkle_tree import Tree
from tallynet.protocol.units import Digest
from tests.contracts.machine import Machine, Reverted, tree

REASONS = {
    None: None,
    2: "",  # more hashes than the contract's parameter holds
    3: "ledger: proof has the wrong length",
    4: "ledger: proof does not lead to the old root",
    5: "ledger: proof does not lead to the new root",
}
TREE = tree(300)


@pytest.fixture(scope="module")
def machine() -> Machine:
    machine = Machine()
    machine.register()
    return machine


@contextmanager
def undone(machine: Machine) -> Iterator[None]:
    """What happens inside is taken back afterwards."""
    before = machine.evm.snapshot()
    yield
    machine.evm.revert(before)


def python_reason(old: int, old_root: Digest, size: int, root: Digest, proof: list[Digest]) -> str | None:
    try:
        merkle.verify_consistency(old, old_root, size, root, proof)
    except InvalidProof as error:
        return REASONS[error.check]
    return None


def vyper_reason(
    machine: Machine, old: int, old_root: Digest, size: int, root: Digest, proof: list[Digest]
) -> str | None:
    with undone(machine):
        machine.anchor(old, old_root, [])
        try:
            machine.anchor(size, root, proof)
        except Reverted as error:
            return str(error)
        return None


def bend(rng: random.Random, proof: list[Digest]) -> list[Digest]:
    """One of the ways in which a proof goes wrong."""
    at = rng.randrange(len(proof) + 1)
    flipped = [Digest(bytes([word[0] ^ 1]) + word[1:]) for word in proof[at : at + 1]]
    return rng.choice(
        [
            [*proof[:at], *flipped, *proof[at + 1 :]],
            [*proof[:at], TREE.leaf(at), *proof[at:]],
            proof[:-1],
            proof[::-1],
            [*proof, *proof],
            [],
        ]
    )


def test_all_consistency_proofs_of_small_logs_hold_in_both(machine: Machine) -> None:
    for size in range(2, 34):
        for old in range(1, size):
            case = (old, TREE.root(old), size, TREE.root(size), TREE.consistency(old, size))
            assert python_reason(*case) is None
            assert vyper_reason(machine, *case) is None


def test_random_consistency_proofs_bent_or_not_get_one_verdict(machine: Machine) -> None:
    rng = random.Random(9162)
    refused = 0
    for _ in range(400):
        size = rng.randrange(2, 301)
        old = rng.randrange(1, size)
        proof = TREE.consistency(old, size)
        if rng.random() < 0.8:
            proof = bend(rng, proof)
        claimed = rng.choice([size, size, size, rng.randrange(old + 1, 301)])
        case = (old, TREE.root(old), claimed, TREE.root(size), proof)

        expected = python_reason(*case)
        assert vyper_reason(machine, *case) == expected, case
        refused += expected is not None
    assert refused > 200


def test_random_inclusion_proofs_bent_or_not_get_one_verdict(machine: Machine) -> None:
    rng = random.Random(6962)
    found = 0
    for _ in range(400):
        size = rng.randrange(1, 301)
        index = rng.randrange(size)
        path = TREE.inclusion(index, size)
        if rng.random() < 0.6:
            path = bend(rng, path)
        claimed = rng.choice([index, index, index, rng.randrange(301)])
        with undone(machine):
            machine.anchor(size, TREE.root(size), [])
            verdict = machine.verify(TREE.leaf(index), claimed, path)

        assert verdict == holds(TREE.leaf(index), claimed, size, path), (index, claimed, size)
        found += verdict
    assert 50 < found < 350


def holds(leaf: Digest, index: int, size: int, path: list[Digest]) -> bool:
    try:
        merkle.verify_inclusion(leaf, index, size, path, TREE.root(size))
    except InvalidProof:
        return False
    return True


def test_proofs_of_a_million_runs_hold_in_both(machine: Machine, million: Tree) -> None:
    rng = random.Random(1048576)
    for size in (2**20, 2**20 + 1, 2**20 + 1000):
        root = million.root(size)
        for old in (1, 2**19, 2**20 - 1, *(rng.randrange(1, 2**20) for _ in range(10))):
            case = (old, million.root(old), size, root, million.consistency(old, size))
            assert python_reason(*case) is None
            assert vyper_reason(machine, *case) is None
        with undone(machine):
            machine.anchor(size, root, [])
            for index in (0, size - 1, *(rng.randrange(size) for _ in range(10))):
                assert machine.verify(million.leaf(index), index, million.inclusion(index, size))


def test_the_largest_sizes_are_walked_to_the_end(machine: Machine) -> None:
    """No such log can be built here; both sides must ask for the same number of hashes."""
    sizes = [2**40 - 1, 2**40 - 2, 2**39 + 1, 2**39]
    for size in sizes:
        for old in (1, 2**38, 2**39 - 1, size - 1):
            for length in range(42):
                case = (old, TREE.root(3), size, TREE.root(5), [TREE.leaf(at) for at in range(length)])
                assert vyper_reason(machine, *case) == python_reason(*case), (old, size, length)
