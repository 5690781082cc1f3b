"""The five faults that one transaction proves, one by one: what convicts, and what convicts nobody."""

import random

import pytest
from msgspec.structs import replace

from tallynet.protocol.fault import Fork, LateAnchor, NotAPrefix, TwoPromises, WrongLeaf
from tallynet.protocol.merkle_tree import Tree
from tallynet.protocol.units import ZERO_DIGEST, Digest
from tests.contracts.accused import COVERED, NOW, accused_machine, fault, signer
from tests.contracts.machine import START, Machine, refuses
from tests.protocol.faults import FIRST_SIZE, FORKED, LOG, SIZE


@pytest.fixture
def machine() -> Machine:
    return accused_machine()


# Late


def late(machine: Machine, index: int, due: int) -> LateAnchor:
    return LateAnchor(node=machine.node.address, promise=signer(machine).promise(index, LOG.leaf(0), due))


@pytest.mark.parametrize(
    ("index", "due"),
    [(SIZE, NOW), (SIZE, NOW + 1), (FIRST_SIZE, COVERED), (SIZE - 1, COVERED), (FIRST_SIZE - 1, START), (0, START)],
)
def test_a_kept_promise_is_not_late(machine: Machine, index: int, due: int) -> None:
    with refuses("ledger: receipt is not late"):
        machine.slash(late(machine, index, due))


@pytest.mark.parametrize(
    ("index", "due"),
    [(SIZE, NOW - 1), (2**40 - 1, NOW - 1), (FIRST_SIZE, COVERED - 1), (SIZE - 1, COVERED - 1), (0, START - 1)],
)
def test_a_promise_broken_by_a_second_is_late(machine: Machine, index: int, due: int) -> None:
    machine.slash(late(machine, index, due))

    assert machine.entry()[1] == 0


def test_a_node_that_never_anchored_is_late() -> None:
    machine = Machine()
    machine.register()
    machine.slash(late(machine, 0, START - 1))

    assert machine.entry()[1] == 0


def test_the_largest_numbers_that_fit_are_judged(machine: Machine) -> None:
    """An index that no log can have is as late as any other; a time that never comes is not."""
    with refuses("ledger: receipt is not late"):
        machine.slash(late(machine, 2**64 - 1, 2**64 - 1))
    machine.slash(late(machine, 2**64 - 1, NOW - 1))


# Leaf


def test_the_promised_leaf_convicts_nobody(machine: Machine) -> None:
    proven: WrongLeaf = fault(machine, "another leaf")
    promise = signer(machine).promise(5, LOG.leaf(5), NOW)
    with refuses("ledger: leaf is the promised one"):
        machine.slash(replace(proven, promise=promise))


@pytest.mark.parametrize("index", [SIZE, 2**40, 2**64 - 1])
def test_a_leaf_above_the_head_convicts_nobody(machine: Machine, index: int) -> None:
    proven: WrongLeaf = fault(machine, "another leaf")
    promise = signer(machine).promise(index, FORKED.leaf(5), NOW)
    with refuses("ledger: index is not anchored"):
        machine.slash(replace(proven, promise=promise))


@pytest.mark.parametrize("index", [0, 4, 6, SIZE - 1])
def test_a_leaf_at_another_index_convicts_nobody(machine: Machine, index: int) -> None:
    proven: WrongLeaf = fault(machine, "another leaf")
    promise = signer(machine).promise(index, FORKED.leaf(5), NOW)
    with refuses("ledger: leaf is not at the index"):
        machine.slash(replace(proven, promise=promise))


def test_a_leaf_that_is_not_logged_convicts_nobody(machine: Machine) -> None:
    proven: WrongLeaf = fault(machine, "another leaf")
    with refuses("ledger: leaf is not at the index"):
        machine.slash(replace(proven, leaf_hash=LOG.leaf(6)))


def lengths(path: tuple[Digest, ...]) -> list[tuple[Digest, ...]]:
    """The path with too few or too many hashes."""
    return [(), path[:-1], path[1:], (*path, ZERO_DIGEST), (*path, *path), (*path, *[ZERO_DIGEST] * (63 - len(path)))]


def test_a_path_of_another_length_convicts_nobody(machine: Machine) -> None:
    proven: WrongLeaf = fault(machine, "another leaf")
    for path in lengths(proven.path):
        with refuses("ledger: leaf is not at the index"):
            machine.slash(replace(proven, path=path))


@pytest.mark.parametrize("name", ["another leaf", "another beginning"])
def test_a_proof_of_more_than_63_hashes_does_not_fit(machine: Machine, name: str) -> None:
    with refuses(""):
        machine.slash(replace(fault(machine, name), path=(ZERO_DIGEST,) * 64))


@pytest.mark.parametrize(
    ("name", "reason"),
    [("another leaf", "leaf is not at the index"), ("another beginning", "proof does not lead to the head")],
)
def test_every_flipped_bit_of_a_proof_is_refused(machine: Machine, name: str, reason: str) -> None:
    proven = fault(machine, name)
    for at in range(len(proven.path)):
        for bit in range(256):
            with refuses(f"ledger: {reason}"):
                machine.slash(replace(proven, path=flipped(proven.path, at, bit)))
    machine.slash(proven)


def flipped(path: tuple[Digest, ...], at: int, bit: int) -> tuple[Digest, ...]:
    changed = int.from_bytes(path[at], "big") ^ 1 << bit
    return (*path[:at], Digest(changed.to_bytes(32, "big")), *path[at + 1 :])


def test_flipped_bits_of_proofs_in_a_log_of_a_million_are_refused(million: Tree) -> None:
    rng, size = random.Random(2**20), 2**20 + 777
    machine = Machine()
    machine.register()
    machine.anchor(size, million.root(size), [])
    speaker = signer(machine)
    for _ in range(20):
        index, old = rng.randrange(size), rng.randrange(1, size)
        promise = speaker.promise(index, ZERO_DIGEST, NOW)
        leaf = WrongLeaf(
            node=machine.node.address,
            promise=promise,
            leaf_hash=million.leaf(index),
            path=tuple(million.inclusion(index, size)),
        )
        prefix = NotAPrefix(
            node=machine.node.address,
            checkpoint=speaker.checkpoint(old, ZERO_DIGEST),
            true_root=million.root(old),
            path=tuple(million.consistency(old, size)),
        )
        for proven, reason in ((leaf, "leaf is not at the index"), (prefix, "proof does not lead to the head")):
            for at in range(len(proven.path)):
                with refuses(f"ledger: {reason}"):
                    machine.slash(replace(proven, path=flipped(proven.path, at, rng.randrange(256))))
            with machine.undone():
                machine.slash(proven)


# Pair


def pair(machine: Machine, *sides: tuple[int, Digest, str]) -> TwoPromises:
    first, second = (signer(machine).promise(index, leaf, NOW + at, job) for at, (index, leaf, job) in enumerate(sides))
    return TwoPromises(node=machine.node.address, first=first, second=second)


ONE, OTHER = LOG.leaf(5), FORKED.leaf(5)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((5, ONE, "a job"), (5, ONE, "a job")),
        ((5, ONE, "a job"), (5, ONE, "another job")),
        ((5, ONE, "a job"), (6, OTHER, "another job")),
        ((5, ONE, "a job"), (6, ONE, "another job")),
    ],
)
def test_receipts_that_can_both_be_kept_convict_nobody(
    machine: Machine, first: tuple[int, Digest, str], second: tuple[int, Digest, str]
) -> None:
    with refuses("ledger: receipts do not contradict each other"):
        machine.slash(pair(machine, first, second))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((5, ONE, "a job"), (5, OTHER, "another job")),
        ((5, ONE, "a job"), (5, OTHER, "a job")),
        ((5, ONE, "a job"), (6, ONE, "a job")),
        ((5, ONE, "a job"), (6, OTHER, "a job")),
    ],
)
def test_receipts_that_contradict_each_other_convict(
    machine: Machine, first: tuple[int, Digest, str], second: tuple[int, Digest, str]
) -> None:
    for sides in ((first, second), (second, first)):
        with machine.undone():
            machine.slash(pair(machine, *sides))


# Fork


def test_one_checkpoint_twice_convicts_nobody(machine: Machine) -> None:
    proven: Fork = fault(machine, "two roots of one size")
    with refuses("ledger: checkpoints do not contradict each other"):
        machine.slash(replace(proven, second=proven.first))


def test_two_roots_of_no_log_convict_nobody(machine: Machine) -> None:
    speaker = signer(machine)
    first, second = speaker.checkpoint(0, LOG.root(1)), speaker.checkpoint(0, LOG.root(2))
    with refuses("ledger: size is zero"):
        machine.slash(Fork(node=machine.node.address, first=first, second=second))


def test_a_fork_needs_no_anchor() -> None:
    machine = Machine()
    machine.register()
    machine.slash(signer(machine).fork())

    assert machine.entry()[1] == 0


# Prefix


def test_a_checkpoint_of_no_log_convicts_nobody(machine: Machine) -> None:
    proven: NotAPrefix = fault(machine, "another beginning")
    with refuses("ledger: size is zero"):
        machine.slash(replace(proven, checkpoint=signer(machine).checkpoint(0, FORKED.root(11))))


@pytest.mark.parametrize("size", [SIZE + 1, 2**40, 2**64 - 1])
def test_a_checkpoint_above_the_head_convicts_nobody(machine: Machine, size: int) -> None:
    proven: NotAPrefix = fault(machine, "another beginning")
    with refuses("ledger: checkpoint is larger than the head"):
        machine.slash(replace(proven, checkpoint=signer(machine).checkpoint(size, FORKED.root(11))))


@pytest.mark.parametrize("name", ["another beginning", "another head"])
def test_a_checkpoint_that_was_kept_convicts_nobody(machine: Machine, name: str) -> None:
    proven: NotAPrefix = fault(machine, name)
    size = proven.checkpoint.checkpoint.size
    with refuses("ledger: checkpoint is a prefix of the head"):
        machine.slash(replace(proven, checkpoint=signer(machine).checkpoint(size, LOG.root(size))))


@pytest.mark.parametrize("name", ["another beginning", "another head"])
def test_a_beginning_of_another_log_convicts_nobody(machine: Machine, name: str) -> None:
    with refuses("ledger: proof does not lead to the head"):
        machine.slash(replace(fault(machine, name), true_root=LOG.root(12)))


@pytest.mark.parametrize("name", ["another beginning", "another head"])
def test_a_consistency_proof_of_another_length_convicts_nobody(machine: Machine, name: str) -> None:
    proven: NotAPrefix = fault(machine, name)
    for path in set(lengths(proven.path)) - {proven.path}:
        with refuses("ledger: proof does not lead to the head"):
            machine.slash(replace(proven, path=path))


def test_nothing_was_said_against_a_log_that_is_not_anchored() -> None:
    machine = Machine()
    machine.register()
    with refuses("ledger: checkpoint is larger than the head"):
        machine.slash(signer(machine).not_a_prefix())
