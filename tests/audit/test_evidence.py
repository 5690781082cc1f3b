"""Faults are found in what a node signed and shows, and an honest node has none."""

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import pytest

from tallynet.audit.evidence import (
    Suspect,
    describe_fault,
    find_fork,
    find_late,
    find_not_a_prefix,
    find_pair,
    find_wrong_leaf,
    renew,
)
from tallynet.protocol.errors import InvalidCheckpoint, InvalidEvidence, InvalidProof, InvalidReceipt, Refused
from tallynet.protocol.fault import FaultKind, NotAPrefix, WrongLeaf, check_fault
from tallynet.protocol.leaf import Leaf
from tallynet.protocol.units import Digest, Seconds, Wei
from tests.audit.examples import DOMAIN, NODE, STRANGER, ExampleNode
from tests.audit.suspects import NOW, SUSPECT, history, reading, scene, second_promise, signed

OTHER_ROOT = Digest(b"\x99" * 32)


def other_leaf(node: ExampleNode, index: int) -> Leaf:
    return replace(Leaf.unpack(node.leaves[index]), price=Wei(1))


async def test_an_honest_node_gives_no_evidence() -> None:
    made = await scene(3, 7)
    witness = await made.ledger.witness(NODE.address)

    async with reading(made.node) as log:
        assert find_pair(SUSPECT, [made.promise(index) for index in range(12)]) is None
        assert find_fork(SUSPECT, history(made.node, [0, 0, 3, 3, 7, 12])) is None
        for index in range(12):
            assert find_late(SUSPECT, made.promise(index), witness) is None
            assert await find_wrong_leaf(SUSPECT, made.promise(index), log, witness) is None
        for checkpoint in history(made.node, range(13)):
            assert await find_not_a_prefix(SUSPECT, checkpoint, log, witness) is None


@pytest.mark.parametrize(
    ("which", "words"),
    [("index", "promised entry 2 to two jobs"), ("job", "two places: entry 2 and 9"), ("leaf", "entry 2 and 2")],
)
async def test_two_promises_are_found(which: str, words: str) -> None:
    made = await scene()
    again = {
        "index": second_promise(made.runs[3], index=2),
        "job": second_promise(made.runs[2], index=9),
        "leaf": second_promise(made.runs[2], leaf=other_leaf(made.node, 2)),
    }[which]

    fault = find_pair(SUSPECT, [*(made.promise(index) for index in range(5)), again])

    assert fault is not None
    assert words in describe_fault(fault)
    slashing = await made.ledger.slash(STRANGER, fault)
    assert (slashing.kind, slashing.reward) == (FaultKind.PAIR, 10**17)


async def test_a_promise_that_the_node_did_not_sign_is_no_evidence() -> None:
    made = await scene()

    with pytest.raises(InvalidReceipt, match="entry 2 is not signed by node 0x"):
        find_pair(Suspect(STRANGER.address, DOMAIN), [made.promise(2)])
    with pytest.raises(InvalidEvidence) as refusal:
        find_late(Suspect(STRANGER.address, DOMAIN), made.promise(2), await made.ledger.witness(STRANGER.address))
    assert refusal.value.reason == "signature is not the node's"


async def test_a_fork_is_found() -> None:
    made = await scene()
    checkpoints = [*history(made.node, [1, 2, 3, 4]), signed(3, OTHER_ROOT)]

    fault = find_fork(SUSPECT, checkpoints)

    assert fault is not None
    assert "signed two logs of 3 entries" in describe_fault(fault)
    assert (await made.ledger.slash(STRANGER, fault)).kind is FaultKind.FORK


async def test_a_checkpoint_that_the_node_did_not_sign_is_no_evidence() -> None:
    made = await scene()

    with pytest.raises(InvalidCheckpoint):
        find_fork(SUSPECT, [*history(made.node, [3]), signed(3, OTHER_ROOT, STRANGER)])


async def test_a_late_anchor_is_found_before_and_after_it_is_repaired() -> None:
    made = await scene(3)
    made.run(anchor_by=Seconds(NOW + 60))
    promise = made.promise(8)
    assert find_late(SUSPECT, promise, await made.ledger.witness(NODE.address)) is None

    made.time.now += 61
    made.ledger.mine()
    fault = find_late(SUSPECT, promise, await made.ledger.witness(NODE.address))
    assert fault is not None
    assert "promised to anchor entry 8 by 2027-01-15 08:01:00 UTC" in describe_fault(fault)

    await made.node.anchor(made.ledger)
    assert find_late(SUSPECT, promise, await made.ledger.witness(NODE.address)) == fault
    assert (await made.ledger.slash(STRANGER, fault)).kind is FaultKind.LATE


async def test_another_leaf_at_the_promised_index_is_found() -> None:
    made = await scene(3)
    promise = second_promise(made.runs[4], leaf=other_leaf(made.node, 4))
    await made.node.anchor(made.ledger)

    async with reading(made.node) as log:
        fault = await find_wrong_leaf(SUSPECT, promise, log, await made.ledger.witness(NODE.address))

    assert fault is not None
    assert "for entry 4, and its anchored log has" in describe_fault(fault)
    assert (await made.ledger.slash(STRANGER, fault)).kind is FaultKind.LEAF


async def test_an_entry_that_is_shown_in_another_form_than_anchored_is_withheld() -> None:
    made = await scene(3, 7)
    made.node.shown = [other_leaf(made.node, index).pack() for index in range(12)]
    witness = await made.ledger.witness(NODE.address)

    async with reading(made.node) as log:
        with pytest.raises(InvalidProof):
            await find_wrong_leaf(SUSPECT, made.promise(4), log, witness)
        with pytest.raises(InvalidProof):
            await find_not_a_prefix(SUSPECT, signed(4, OTHER_ROOT), log, witness)


async def test_a_node_that_refuses_to_answer_is_not_convicted() -> None:
    made = await scene(3, 7)
    made.node.refuses = True

    async with reading(made.node) as log:
        with pytest.raises(Refused):
            await find_wrong_leaf(SUSPECT, made.promise(4), log, await made.ledger.witness(NODE.address))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 7])
async def test_a_checkpoint_that_is_no_prefix_is_found_at_every_size(size: int) -> None:
    made = await scene(3, 7)
    witness = await made.ledger.witness(NODE.address)

    async with reading(made.node) as log:
        fault = await find_not_a_prefix(SUSPECT, signed(size, OTHER_ROOT), log, witness)

    assert fault is not None
    assert fault.true_root == made.node.tree.root(size)
    assert f"signed a log of {size} entries with root 9999" in describe_fault(fault)
    assert (await made.ledger.slash(STRANGER, fault)).kind is FaultKind.PREFIX


async def test_a_checkpoint_beyond_the_anchored_head_has_to_wait() -> None:
    made = await scene(3)

    async with reading(made.node) as log:
        checkpoint = signed(4, OTHER_ROOT)
        assert await find_not_a_prefix(SUSPECT, checkpoint, log, await made.ledger.witness(NODE.address)) is None
        await made.node.anchor(made.ledger)
        assert await find_not_a_prefix(SUSPECT, checkpoint, log, await made.ledger.witness(NODE.address))


@pytest.mark.parametrize("kind", [WrongLeaf, NotAPrefix])
async def test_evidence_is_renewed_when_the_head_has_grown(kind: type[WrongLeaf | NotAPrefix]) -> None:
    made = await scene(3, 7)
    promise = second_promise(made.runs[4], leaf=other_leaf(made.node, 4))

    async with reading(made.node) as log:
        before = await made.ledger.witness(NODE.address)
        fault = await (
            find_wrong_leaf(SUSPECT, promise, log, before)
            if kind is WrongLeaf
            else find_not_a_prefix(SUSPECT, signed(5, OTHER_ROOT), log, before)
        )
        assert fault is not None
        await made.node.anchor(made.ledger)
        after = await made.ledger.witness(NODE.address)
        with pytest.raises(InvalidEvidence):
            check_fault(fault, DOMAIN, after)

        renewed = await renew(SUSPECT, fault, log, after)

    assert isinstance(renewed, kind)
    assert (await made.ledger.slash(STRANGER, renewed)).node == NODE.address


@pytest.mark.parametrize("size", [2, 3, 5, 8, 12])
async def test_every_bit_of_a_found_proof_counts(size: int) -> None:
    made = await scene(3, 12)
    witness = await made.ledger.witness(NODE.address)
    async with reading(made.node) as log:
        fault = await find_not_a_prefix(SUSPECT, signed(size, OTHER_ROOT), log, witness)

    assert fault is not None
    for broken in _broken(fault.path):
        with pytest.raises(InvalidEvidence):
            check_fault(msgspec.structs.replace(fault, path=broken), DOMAIN, witness)


def _broken(path: Sequence[Digest]) -> list[tuple[Digest, ...]]:
    flipped = [
        (*path[:at], Digest(bytes([path[at][0] ^ 1]) + path[at][1:]), *path[at + 1 :]) for at in range(len(path))
    ]
    return [*flipped, (*path, OTHER_ROOT)]
