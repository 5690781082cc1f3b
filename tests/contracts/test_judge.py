"""The five faults that one transaction proves: start from one that convicts, break one thing."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from eth_abi.abi import decode
from msgspec.structs import replace

from tallynet.ledger import events
from tallynet.ledger.contract_court import accusation
from tallynet.ledger.rules import relay_digest
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.fault import Fork, LateAnchor, NotAPrefix, TwoPromises, WrongLeaf
from tallynet.protocol.merkle_tree import Tree
from tallynet.protocol.units import ZERO_DIGEST, Digest
from tests.contracts.machine import CHAIN_ID, ETHER, START, UNBONDING, Machine, Reverted, named, refuses, word
from tests.protocol.examples import digest
from tests.protocol.faults import FIRST_SIZE, FORKED, LOG, NAMES, SIZE, Signer

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
COVERED = START + 100
NOW = START + 200
REPORTER = named("reporter")
NOBODY = "0x" + bytes(20).hex()
KINDS = [name for name in NAMES if name not in ("one job twice", "anchored late", "another head")]
"""One example for each function."""


@pytest.fixture
def machine() -> Machine:
    """A node with the log of `tests.protocol.faults`, anchored at two times."""
    machine = Machine()
    machine.fund(REPORTER)
    machine.register()
    machine.anchor(FIRST_SIZE, LOG.root(FIRST_SIZE), [])
    machine.set_time(COVERED)
    machine.anchor(SIZE, LOG.root(SIZE), LOG.consistency(FIRST_SIZE, SIZE))
    machine.set_time(NOW)
    return machine


def signer(machine: Machine) -> Signer:
    return Signer(machine.node, machine.domain)


def fault(machine: Machine, name: str) -> Any:
    return signer(machine).faults(COVERED, NOW)[name][1]


def accuse(machine: Machine, call: tuple[Any, ...]) -> None:
    machine.call(REPORTER, *call)


# What a slashing does


@pytest.mark.parametrize("name", NAMES)
def test_a_fault_takes_the_whole_stake(machine: Machine, name: str) -> None:
    kind, proven = signer(machine).faults(COVERED, NOW)[name]
    before = machine.balance(REPORTER)
    machine.slash(proven, REPORTER)
    ((topic, indexed, data),) = machine.events()

    assert (topic, indexed) == (events.SLASHED, [word(machine.node.address), word(REPORTER.address)])
    assert decode(["uint8", "uint256", "uint256"], data) == (kind, ETHER // 10, ETHER - ETHER // 10)
    assert machine.balance(REPORTER) - before == ETHER // 10
    assert machine.evm.get_balance(machine.contract) == ETHER - ETHER // 10
    assert machine.entry() == (NOBODY, 0, 0, SIZE, LOG.root(SIZE), COVERED)


def test_the_smallest_stakes_are_burnt_whole() -> None:
    machine = Machine(minimum_stake=1)
    machine.register(value=9)
    machine.slash(signer(machine).fork())
    ((_, _, data),) = machine.events()

    assert decode(["uint8", "uint256", "uint256"], data)[1:] == (0, 9)
    assert machine.evm.get_balance(machine.contract) == 9


def test_a_slashed_node_keeps_head_and_ring_and_nothing_else(machine: Machine) -> None:
    ring = machine.ring()
    machine.slash(fault(machine, "two roots of one size"))

    assert machine.ring() == ring
    assert machine.head() == (SIZE, LOG.root(SIZE), COVERED)
    with refuses("ledger: node is not registered"):
        machine.anchor(SIZE + 1, LOG.root(SIZE + 1), LOG.consistency(SIZE, SIZE + 1))
    with refuses("ledger: node is not registered"):
        machine.call(machine.node, "record", *[bytes(32)] * 3)
    with refuses("ledger: caller is not the operator"):
        machine.begin_exit()


def test_a_slashing_ends_an_exit(machine: Machine) -> None:
    machine.begin_exit()
    machine.set_time(NOW + UNBONDING)
    machine.slash(fault(machine, "two roots of one size"))
    with refuses("ledger: caller is not the operator"):
        machine.withdraw()


@pytest.mark.parametrize("name", NAMES)
def test_a_node_is_slashed_once(machine: Machine, name: str) -> None:
    machine.slash(fault(machine, "two roots of one size"))
    with refuses("ledger: node is not registered"):
        machine.slash(fault(machine, name))


@pytest.mark.parametrize("name", NAMES)
def test_a_node_that_left_is_not_slashed(machine: Machine, name: str) -> None:
    machine.begin_exit()
    machine.set_time(NOW + UNBONDING)
    machine.withdraw()
    with refuses("ledger: node is not registered"):
        machine.slash(fault(machine, name))


@pytest.mark.parametrize("name", NAMES)
def test_a_key_that_returns_is_convicted_by_the_same_evidence(machine: Machine, name: str) -> None:
    proven = fault(machine, name)
    machine.slash(proven)
    machine.register(value=3 * ETHER)
    machine.slash(proven)

    assert machine.entry()[1] == 0


@pytest.mark.parametrize("name", NAMES)
def test_a_stranger_is_not_convicted(machine: Machine, name: str) -> None:
    proven = replace(fault(machine, name), node=named("stranger").address)
    with refuses("ledger: node is not registered"):
        machine.slash(proven)


@pytest.mark.parametrize("name", NAMES)
def test_another_node_is_not_convicted(machine: Machine, name: str) -> None:
    other = named("other node")
    proven = replace(fault(machine, name), node=other.address)
    machine.node = other
    machine.register()
    with refuses("ledger: signature is not the node's"):
        machine.slash(proven)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("domain", [Domain(CHAIN_ID, named("contract").address), None], ids=["contract", "chain"])
def test_what_was_signed_for_elsewhere_convicts_nobody(machine: Machine, name: str, domain: Domain | None) -> None:
    elsewhere = domain or Domain(CHAIN_ID + 1, machine.domain.contract)
    _, proven = Signer(machine.node, elsewhere).faults(COVERED, NOW)[name]
    with refuses("ledger: signature is not the node's"):
        machine.slash(proven)


# Signatures


def signatures(call: tuple[Any, ...]) -> list[int]:
    return [at for at, argument in enumerate(call) if isinstance(argument, bytes) and len(argument) == 65]


@pytest.mark.parametrize("name", KINDS)
def test_every_flipped_bit_of_a_signature_is_refused(machine: Machine, name: str) -> None:
    call = accusation(fault(machine, name), machine.domain)
    for at in signatures(call):
        valid = int.from_bytes(call[at], "big")  # type: ignore[arg-type]
        for bit in range(65 * 8):
            flipped = (valid ^ 1 << bit).to_bytes(65, "big")
            with pytest.raises(Reverted, match=r"^ledger: signature (has a wrong v|has a high s|is not the node's)$"):
                accuse(machine, (*call[:at], flipped, *call[at + 1 :]))
    accuse(machine, call)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(
    ("bend", "reason"),
    [
        (lambda valid: b"", "signature is not 65 bytes"),
        (lambda valid: valid[:64], "signature is not 65 bytes"),
        (lambda valid: valid[:64] + b"\x00", "signature has a wrong v"),
        (lambda valid: valid[:64] + b"\x1d", "signature has a wrong v"),
        (lambda valid: high(valid), "signature has a high s"),
        (lambda valid: valid[:64] + bytes([55 - valid[64]]), "signature is not the node's"),
        (lambda valid: bytes(64) + valid[64:], "signature is not the node's"),
        (lambda valid: valid + b"\x00", None),
    ],
)
def test_every_other_form_of_a_signature_is_refused(
    machine: Machine, name: str, bend: Callable[[bytes], bytes], reason: str | None
) -> None:
    call = accusation(fault(machine, name), machine.domain)
    for at in signatures(call):
        with refuses(f"ledger: {reason}" if reason else ""):  # the parameter holds 65 bytes
            accuse(machine, (*call[:at], bend(call[at]), *call[at + 1 :]))  # type: ignore[arg-type]


def high(signature: bytes) -> bytes:
    """The other form of the same signature."""
    s = ORDER - int.from_bytes(signature[32:64], "big")
    return signature[:32] + s.to_bytes(32, "big") + bytes([55 - signature[64]])


@pytest.mark.parametrize("name", ["never anchored", "another leaf", "one index twice"])
@pytest.mark.parametrize("member", range(4))
def test_a_receipt_is_signed_whole(machine: Machine, name: str, member: int) -> None:
    call = accusation(fault(machine, name), machine.domain)
    for at, argument in enumerate(call):
        if not isinstance(argument, tuple):
            continue
        receipt = list(argument)
        receipt[member] = receipt[member] + 1 if isinstance(receipt[member], int) else digest("another")
        with refuses("ledger: signature is not the node's"):
            accuse(machine, (*call[:at], tuple(receipt), *call[at + 1 :]))


def test_a_checkpoint_is_signed_whole(machine: Machine) -> None:
    call: tuple[Any, ...] = accusation(fault(machine, "two roots of one size"), machine.domain)
    function, node, size, *sides = call
    with refuses("ledger: signature is not the node's"):
        accuse(machine, (function, node, size + 1, *sides))
    with refuses("ledger: signature is not the node's"):
        accuse(machine, (function, node, size, ZERO_DIGEST, *sides[1:]))


def test_an_order_to_relay_is_no_checkpoint(machine: Machine) -> None:
    proven: Fork = fault(machine, "two roots of one size")
    signed = proven.second.checkpoint
    order = machine.node.sign(relay_digest(machine.domain, signed.size, signed.root))
    with refuses("ledger: signature is not the node's"):
        machine.slash(replace(proven, second=replace(proven.second, signature=order)))


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
