"""What convicts a node, and what does not: start with each fault, break one thing."""

from collections.abc import Iterator
from typing import Any

import pytest
from msgspec import ValidationError, json
from msgspec.structs import replace

from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import InvalidEvidence
from tallynet.protocol.fault import (
    AnchoredAt,
    Fault,
    FaultKind,
    Fork,
    LateAnchor,
    NotAPrefix,
    SignedPromise,
    TwoPromises,
    Witness,
    check_fault,
)
from tallynet.protocol.keys import _ORDER
from tallynet.protocol.units import ZERO_DIGEST, Address, Digest, Seconds, Signature
from tests.protocol.examples import DOMAIN, NODE, STRANGER
from tests.protocol.faults import FIRST_SIZE, FORKED, LOG, NAMES, SIZE, Signer, witness

COVERED, TODAY = 2_000, 3_000
SIGNER = Signer(NODE, DOMAIN)
FAULTS = SIGNER.faults(COVERED, TODAY)
KNOWN = witness(COVERED, TODAY)
"""What the contract knows."""
LATE, REPAIRED = SIGNER.never_anchored(TODAY - 1), SIGNER.anchored_late(COVERED - 1)
LEAF, PAIR, FORK, PREFIX = SIGNER.wrong_leaf(TODAY), SIGNER.one_index_twice(TODAY), SIGNER.fork(), SIGNER.not_a_prefix()


def assert_refused(fault: Fault, check: int, reason: str, known: Witness = KNOWN, domain: Domain = DOMAIN) -> None:
    with pytest.raises(InvalidEvidence) as refusal:
        check_fault(fault, domain, known)
    assert (refusal.value.check, refusal.value.reason) == (check, reason)
    assert refusal.value.code == "invalid-evidence"


def anchored(*anchors: tuple[int, int], complete: bool = True, now: int = TODAY) -> Witness:
    """A node that anchored honestly, these sizes at these times."""
    ring = tuple(AnchoredAt(size, Seconds(time)) for size, time in anchors)
    size = ring[-1].size if ring else 0
    return Witness(size, LOG.root(size), Seconds(now), ring, complete)


@pytest.mark.parametrize("name", NAMES)
def test_each_fault_convicts_by_its_name(name: str) -> None:
    kind, fault = FAULTS[name]

    assert check_fault(fault, DOMAIN, KNOWN) == kind


def test_every_kind_but_the_one_that_needs_asking_has_an_example() -> None:
    assert {kind for kind, _ in FAULTS.values()} == set(FaultKind) - {FaultKind.WITHHELD}


@pytest.mark.parametrize("name", NAMES)
def test_evidence_survives_writing_and_reading(name: str) -> None:
    _, fault = FAULTS[name]

    assert json.decode(json.encode(fault), type=type(fault)) == fault
    assert json.decode(json.encode(fault), type=Fault) == fault


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("other", [Domain(DOMAIN.chain_id + 1, DOMAIN.contract), Domain(1337, Address(b"\x01" * 20))])
def test_evidence_for_another_chain_or_contract_convicts_nobody(name: str, other: Domain) -> None:
    _, fault = FAULTS[name]
    assert_refused(fault, first_check(fault), "signature is not the node's", domain=other)


@pytest.mark.parametrize("name", NAMES)
def test_evidence_against_one_node_does_not_convict_another(name: str) -> None:
    _, fault = FAULTS[name]
    pinned = replace(fault, node=STRANGER.address)
    assert_refused(pinned, first_check(fault), "signature is not the node's")


def first_check(fault: Fault) -> int:
    return 5 if isinstance(fault, (Fork, NotAPrefix)) else 1


# Signatures


def signatures(fault: Any) -> Iterator[str]:
    """The fields of a fault that hold a signature."""
    return (name for name in fault.__struct_fields__ if hasattr(getattr(fault, name), "signature"))


def forged(fault: Any, field: str, signature: bytes) -> Fault:
    """The fault with another signature."""
    return replace(fault, **{field: replace(getattr(fault, field), signature=Signature(signature))})  # type: ignore[no-any-return]


def high_s(signature: bytes) -> bytes:
    """The same signature in its second form."""
    s = _ORDER - int.from_bytes(signature[32:64], "big")
    return signature[:32] + s.to_bytes(32, "big") + bytes([55 - signature[64]])


@pytest.mark.parametrize("name", NAMES)
def test_a_signature_has_one_form(name: str) -> None:
    _, fault = FAULTS[name]
    check = first_check(fault)
    for field in signatures(fault):
        valid = getattr(fault, field).signature
        for wrong, reason in (
            (b"", "signature is not 65 bytes"),
            (valid[:64], "signature is not 65 bytes"),
            (valid + b"\0", "signature is not 65 bytes"),
            (valid[:64] + b"\0", "signature has a wrong v"),
            (valid[:64] + b"\x1d", "signature has a wrong v"),
            (high_s(valid), "signature has a high s"),
            (bytes(64) + b"\x1b", "signature is not the node's"),
            (valid[:64] + bytes([55 - valid[64]]), "signature is not the node's"),
        ):
            assert_refused(forged(fault, field, wrong), check, reason)


@pytest.mark.parametrize("fault", [LATE, LEAF, PAIR, FORK, PREFIX], ids=lambda fault: type(fault).__name__)
def test_no_bit_of_a_signature_can_be_flipped(fault: Fault) -> None:
    for field in signatures(fault):
        valid = getattr(fault, field).signature
        for bit in range(8 * len(valid)):
            with pytest.raises(InvalidEvidence) as refusal:
                check_fault(forged(fault, field, flipped(valid, bit)), DOMAIN, KNOWN)
            assert refusal.value.check == first_check(fault)
            assert refusal.value.reason.startswith("signature ")


def flipped(value: bytes, bit: int) -> bytes:
    return (int.from_bytes(value, "big") ^ 1 << bit).to_bytes(len(value), "big")


@pytest.mark.parametrize("field", ["leaf", "index", "anchor_by", "job"])
def test_no_word_of_a_promise_can_be_changed(field: str) -> None:
    receipt = LATE.promise.receipt
    value = getattr(receipt, field)
    other = value + 1 if isinstance(value, int) else ZERO_DIGEST
    changed = SignedPromise(replace(receipt, **{field: other}), LATE.promise.signature)
    assert_refused(LateAnchor(node=NODE.address, promise=changed), 1, "signature is not the node's")


def test_no_word_of_a_checkpoint_can_be_changed() -> None:
    for changes in ({"size": 12}, {"root": ZERO_DIGEST}):
        signed = replace(PREFIX.checkpoint, checkpoint=replace(PREFIX.checkpoint.checkpoint, **changes))
        assert_refused(replace(PREFIX, checkpoint=signed), 5, "signature is not the node's")


# Late


@pytest.mark.parametrize(
    ("index", "anchor_by", "known", "late"),
    [
        (SIZE, TODAY - 1, KNOWN, True),
        (SIZE, TODAY, KNOWN, False),
        (SIZE, TODAY + 1, KNOWN, False),
        (SIZE - 1, COVERED - 1, KNOWN, True),
        (SIZE - 1, COVERED, KNOWN, False),
        (FIRST_SIZE, COVERED - 1, KNOWN, True),
        (FIRST_SIZE - 1, COVERED - 1, KNOWN, False),
        (FIRST_SIZE - 1, COVERED - 101, KNOWN, True),
        (FIRST_SIZE - 1, COVERED - 100, KNOWN, False),
        (0, 0, anchored(), True),
        (0, TODAY, anchored(), False),
        (0, 999, anchored((1, 1000)), True),
        (0, 0, anchored((1, 1000), complete=False), False),
        (1, 999, anchored((1, 500), (2, 1000), complete=False), True),
        (0, 0, anchored((1, 500), (2, 1000), complete=False), False),
        (2, TODAY - 1, anchored((1, 500), (2, 1000), complete=False), True),
    ],
)
def test_late_is_what_the_first_anchor_over_an_entry_missed(
    index: int, anchor_by: int, known: Witness, late: bool
) -> None:
    fault = LateAnchor(node=NODE.address, promise=SIGNER.promise(index, LOG.leaf(index), anchor_by))
    if late:
        assert check_fault(fault, DOMAIN, known) == FaultKind.LATE
    else:
        assert_refused(fault, 2, "receipt is not late", known)


def test_what_is_not_in_the_log_is_late_too() -> None:
    fault = LateAnchor(node=NODE.address, promise=SIGNER.promise(2**40 - 1, ZERO_DIGEST, TODAY - 1))

    assert check_fault(fault, DOMAIN, KNOWN) == FaultKind.LATE


# Another leaf


def test_the_promised_leaf_convicts_nobody() -> None:
    kept = SIGNER.promise(5, LOG.leaf(5), TODAY)
    assert_refused(replace(LEAF, promise=kept), 3, "leaf is the promised one")


def test_a_leaf_is_compared_only_where_the_log_is_anchored() -> None:
    for index in (SIZE, SIZE + 1, 2**40 - 1):
        promise = SIGNER.promise(index, FORKED.leaf(5), TODAY)
        assert_refused(replace(LEAF, promise=promise), 3, "index is not anchored")
    assert_refused(LEAF, 3, "index is not anchored", anchored())


def test_another_leaf_has_to_stand_at_the_index() -> None:
    for changed in (
        replace(LEAF, leaf_hash=LOG.leaf(6)),
        replace(LEAF, path=()),
        replace(LEAF, path=LEAF.path[:-1]),
        replace(LEAF, path=(*LEAF.path, ZERO_DIGEST)),
        replace(LEAF, path=LEAF.path[::-1]),
        replace(LEAF, promise=SIGNER.promise(4, FORKED.leaf(5), TODAY)),
    ):
        assert_refused(changed, 3, "leaf is not at the index")
    assert_refused(LEAF, 3, "leaf is not at the index", anchored((SIZE + 1, COVERED)))


def test_no_bit_of_an_inclusion_proof_can_be_flipped() -> None:
    for place in range(len(LEAF.path)):
        for bit in range(256):
            path = list(LEAF.path)
            path[place] = Digest(flipped(path[place], bit))
            assert_refused(replace(LEAF, path=tuple(path)), 3, "leaf is not at the index")


# Two promises

A, B = LOG.leaf(5), FORKED.leaf(5)


@pytest.mark.parametrize(
    ("first", "second", "contradict"),
    [
        ((5, A, "a"), (5, B, "b"), True),
        ((5, A, "a"), (5, B, "a"), True),
        ((5, A, "a"), (6, A, "a"), True),
        ((5, A, "a"), (6, B, "a"), True),
        ((5, A, "a"), (5, A, "a"), False),
        ((5, A, "a"), (5, A, "b"), False),
        ((5, A, "a"), (6, A, "b"), False),
        ((5, A, "a"), (6, B, "b"), False),
    ],
)
def test_two_promises_contradict_each_other_at_one_index_or_for_one_job(
    first: tuple[int, Digest, str], second: tuple[int, Digest, str], contradict: bool
) -> None:
    for one, other in ((first, second), (second, first)):
        promises = [SIGNER.promise(index, leaf, TODAY, job) for index, leaf, job in (one, other)]
        fault = TwoPromises(node=NODE.address, first=promises[0], second=promises[1])
        if contradict:
            assert check_fault(fault, DOMAIN, KNOWN) == FaultKind.PAIR
        else:
            assert_refused(fault, 4, "receipts do not contradict each other")


def test_two_times_for_one_place_are_no_contradiction() -> None:
    first, second = SIGNER.promise(5, A, TODAY), SIGNER.promise(5, A, TODAY + 1)
    fault = TwoPromises(node=NODE.address, first=first, second=second)
    assert_refused(fault, 4, "receipts do not contradict each other")


def test_both_promises_have_to_be_the_node_s() -> None:
    stranger = Signer(STRANGER, DOMAIN).one_index_twice(TODAY)
    assert_refused(replace(PAIR, first=stranger.first), 1, "signature is not the node's")
    assert_refused(replace(PAIR, second=stranger.second), 1, "signature is not the node's")


# Checkpoints


def test_one_checkpoint_twice_is_no_fork() -> None:
    assert_refused(replace(FORK, second=FORK.first), 6, "checkpoints do not contradict each other")


def test_two_sizes_are_no_fork() -> None:
    second = SIGNER.checkpoint(12, FORKED.root(12))
    assert_refused(replace(FORK, second=second), 6, "checkpoints do not contradict each other")


def test_an_empty_log_contradicts_nothing() -> None:
    empty = SIGNER.checkpoint(0, ZERO_DIGEST)
    assert_refused(replace(FORK, first=empty), 5, "size is zero")
    assert_refused(replace(FORK, second=empty), 5, "size is zero")
    assert_refused(replace(PREFIX, checkpoint=empty), 5, "size is zero")


def test_both_checkpoints_have_to_be_the_node_s() -> None:
    stranger = Signer(STRANGER, DOMAIN).fork()
    assert_refused(replace(FORK, first=stranger.first), 5, "signature is not the node's")
    assert_refused(replace(FORK, second=stranger.second), 5, "signature is not the node's")


def test_a_fork_is_judged_without_a_head() -> None:
    assert check_fault(FORK, DOMAIN, anchored()) == FaultKind.FORK


def test_a_checkpoint_above_the_head_waits_for_it() -> None:
    ahead = SIGNER.checkpoint(SIZE + 1, FORKED.root(SIZE + 1))
    assert_refused(replace(PREFIX, checkpoint=ahead), 7, "checkpoint is larger than the head")
    assert_refused(PREFIX, 7, "checkpoint is larger than the head", anchored())


def test_a_true_checkpoint_convicts_nobody() -> None:
    for size in range(1, SIZE + 1):
        checkpoint = SIGNER.checkpoint(size, LOG.root(size))
        path = tuple(LOG.consistency(size, SIZE))
        true = NotAPrefix(node=NODE.address, checkpoint=checkpoint, true_root=LOG.root(size), path=path)
        assert_refused(true, 7, "checkpoint is a prefix of the head")
        assert_refused(replace(true, true_root=FORKED.root(size)), 7, "proof does not lead to the head")


def test_the_true_root_has_to_lead_to_the_head() -> None:
    for changed in (
        replace(PREFIX, true_root=LOG.root(10)),
        replace(PREFIX, path=()),
        replace(PREFIX, path=PREFIX.path[:-1]),
        replace(PREFIX, path=(*PREFIX.path, ZERO_DIGEST)),
        replace(PREFIX, path=PREFIX.path[::-1]),
        replace(PREFIX, checkpoint=SIGNER.checkpoint(12, FORKED.root(12))),
    ):
        assert_refused(changed, 7, "proof does not lead to the head")
    assert_refused(PREFIX, 7, "proof does not lead to the head", anchored((SIZE + 1, COVERED)))


def test_equal_sizes_take_no_path() -> None:
    head = SIGNER.not_the_head()
    assert_refused(replace(head, path=(ZERO_DIGEST,)), 7, "proof does not lead to the head")


def test_no_bit_of_a_consistency_proof_can_be_flipped() -> None:
    for place in range(len(PREFIX.path)):
        for bit in range(256):
            path = list(PREFIX.path)
            path[place] = Digest(flipped(path[place], bit))
            assert_refused(replace(PREFIX, path=tuple(path)), 7, "proof does not lead to the head")


# From a file


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        (b'"kind":"leaf"', b'"kind":"grudge"'),
        (b'"index":5', b'"index":-1'),
        (b'"index":5', b'"index":1099511627776'),
        (b'"kind":"leaf"', b'"kind":"leaf","extra":1'),
        (b'"node":"', b'"node":"AA'),
    ],
)
def test_what_is_out_of_bounds_is_not_read(was: bytes, becomes: bytes) -> None:
    written = json.encode(LEAF)
    assert was in written
    with pytest.raises(ValidationError):
        json.decode(written.replace(was, becomes, 1), type=Fault)


def test_a_path_that_is_too_long_is_not_read() -> None:
    written = json.encode(replace(LEAF, path=(ZERO_DIGEST,) * 64))
    with pytest.raises(ValidationError):
        json.decode(written, type=Fault)
