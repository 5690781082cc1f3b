"""Faults, public challenges and relayed anchors, judged by the ledger in memory and by the contract alike."""

from collections.abc import Awaitable
from dataclasses import replace

import msgspec
import pytest

from tallynet.ledger.ledger import Ledger, Relay
from tallynet.ledger.rules import MAX_CHALLENGES, MAX_RELAYS, RING, sign_relay
from tallynet.protocol.errors import Refused
from tallynet.protocol.fault import Fault, FaultKind, Fork, LateAnchor, TwoPromises, check_fault
from tallynet.protocol.keys import Key
from tallynet.protocol.units import ZERO_DIGEST, Digest, Signature, Wei
from tests.ledger.worlds import (
    ANSWER_SECONDS,
    BOND,
    ETHER,
    MULTIADDR,
    NODE,
    OPERATOR,
    RIVAL,
    SECOND_NODE,
    UNBONDING,
    WORLDS,
    World,
)
from tests.protocol.faults import ENTRIES, FIRST_SIZE, FORKED, LOG, NAMES, SIZE, Signer

STAKE = Wei(3 * ETHER + 7)


@pytest.fixture(params=list(WORLDS))
async def world(request: pytest.FixtureRequest) -> World:
    """A node with a stake that no ten divides, whose log was anchored twice, a hundred seconds apart."""
    world = await WORLDS[request.param]()
    await world.ledger.register(OPERATOR, NODE, STAKE, MULTIADDR)
    await anchor(world.ledger, FIRST_SIZE)
    world.pass_time(100)
    await anchor(world.ledger, SIZE, FIRST_SIZE)
    world.pass_time(100)
    return world


@pytest.fixture
def ledger(world: World) -> Ledger:
    return world.ledger


async def anchor(ledger: Ledger, size: int, old: int = 0) -> None:
    await ledger.anchor(NODE, size, LOG.root(size), LOG.consistency(old, size) if old else [])


async def the_fault(ledger: Ledger, name: str, key: Key = NODE) -> tuple[FaultKind, Fault]:
    covered = (await ledger.head(NODE.address)).anchored_at
    return Signer(key, ledger.domain).faults(covered, await ledger.now())[name]


async def assert_refused(call: Awaitable[object], reason: str) -> None:
    with pytest.raises(Refused) as refusal:
        await call
    assert refusal.value.reason == f"ledger: {reason}"


# Faults


@pytest.mark.parametrize("name", NAMES)
async def test_a_fault_costs_the_whole_stake(ledger: Ledger, name: str) -> None:
    kind, fault = await the_fault(ledger, name)
    head = await ledger.head(NODE.address)
    tried = await ledger.try_slash(RIVAL.address, fault)
    assert await ledger.slashings() == []

    taken = await ledger.slash(RIVAL, fault)
    assert (taken.node, taken.reporter, taken.kind) == (NODE.address, RIVAL.address, kind)
    assert (taken.reward, taken.burnt) == (STAKE // 10, STAKE - STAKE // 10)
    assert replace(tried, block=taken.block, transaction=taken.transaction, gas=taken.gas) == taken
    assert tried.transaction == ZERO_DIGEST
    assert await ledger.node(NODE.address) is None
    assert await ledger.head(NODE.address) == head
    assert list(await ledger.slashings()) == list(await ledger.slashings(node=NODE.address)) == [taken]


@pytest.mark.parametrize("name", NAMES)
async def test_the_auditor_s_verdict_is_the_contract_s(ledger: Ledger, name: str) -> None:
    kind, fault = await the_fault(ledger, name)
    witness = await ledger.witness(NODE.address)

    assert check_fault(fault, ledger.domain, witness) == kind
    assert (await ledger.try_slash(RIVAL.address, fault)).kind == kind


@pytest.mark.parametrize("name", NAMES)
async def test_evidence_that_another_key_signed_convicts_nobody(ledger: Ledger, name: str) -> None:
    _, fault = await the_fault(ledger, name, RIVAL)
    pinned = msgspec.structs.replace(fault, node=NODE.address)
    await assert_refused(ledger.try_slash(RIVAL.address, pinned), "signature is not the node's")
    await assert_refused(ledger.slash(RIVAL, pinned), "signature is not the node's")


@pytest.mark.parametrize("name", NAMES)
async def test_a_node_without_a_stake_has_nothing_to_lose(ledger: Ledger, name: str) -> None:
    _, fault = await the_fault(ledger, name, RIVAL)
    await assert_refused(ledger.try_slash(OPERATOR.address, fault), "node is not registered")
    await assert_refused(ledger.slash(OPERATOR, fault), "node is not registered")


async def test_a_promise_is_late_only_after_its_last_second(world: World, ledger: Ledger) -> None:
    signer, covered = Signer(NODE, ledger.domain), (await ledger.head(NODE.address)).anchored_at
    in_time, early = signer.anchored_late(covered), signer.never_anchored(await ledger.now() + 1000)
    await assert_refused(ledger.try_slash(RIVAL.address, in_time), "receipt is not late")
    await assert_refused(ledger.try_slash(RIVAL.address, early), "receipt is not late")

    world.pass_time(1001)
    assert (await ledger.slash(RIVAL, early)).kind == FaultKind.LATE


async def test_two_checkpoints_of_two_sizes_are_no_fork(ledger: Ledger) -> None:
    signer = Signer(NODE, ledger.domain)
    first, second = signer.checkpoint(8, LOG.root(8)), signer.checkpoint(9, FORKED.root(9))
    fault = Fork(node=NODE.address, first=first, second=second)
    await assert_refused(ledger.try_slash(RIVAL.address, fault), "checkpoints do not contradict each other")


async def test_one_receipt_twice_is_no_contradiction(ledger: Ledger) -> None:
    promise = Signer(NODE, ledger.domain).promise(5, LOG.leaf(5), 2**52)
    fault = TwoPromises(node=NODE.address, first=promise, second=promise)
    await assert_refused(ledger.slash(RIVAL, fault), "receipts do not contradict each other")


async def test_a_slashing_made_twice_is_posted_once(world: World, ledger: Ledger) -> None:
    _, fault = await the_fault(ledger, "two roots of one size")
    taken = await ledger.slash(RIVAL, fault)
    world.mine(12)
    height = await ledger.block_number()

    assert await ledger.slash(RIVAL, fault) == taken
    assert await ledger.block_number() == height
    await assert_refused(ledger.slash(OPERATOR, fault), "node is not registered")


async def test_another_fault_of_a_slashed_node_is_not_passed_off_as_the_first(ledger: Ledger) -> None:
    await ledger.slash(RIVAL, (await the_fault(ledger, "two roots of one size"))[1])
    await assert_refused(ledger.slash(RIVAL, (await the_fault(ledger, "another head"))[1]), "node is not registered")


async def test_a_convicted_key_stays_convicted(ledger: Ledger) -> None:
    _, fault = await the_fault(ledger, "two roots of one size")
    first = await ledger.slash(RIVAL, fault)
    await ledger.register(RIVAL, NODE, ETHER, MULTIADDR)
    second = await ledger.slash(RIVAL, fault)

    assert second.reward == ETHER // 10
    assert list(await ledger.slashings(node=NODE.address)) == [first, second]
    assert list(await ledger.slashings(node=NODE.address, from_block=second.block)) == [second]
    assert await ledger.slashings(node=RIVAL.address) == []


async def test_notice_does_not_save_the_stake(world: World, ledger: Ledger) -> None:
    await ledger.begin_exit(OPERATOR, NODE.address)
    world.pass_time(UNBONDING + 1)
    await ledger.slash(RIVAL, (await the_fault(ledger, "one index twice"))[1])

    await assert_refused(ledger.withdraw(OPERATOR, NODE.address), "caller is not the operator")


async def test_a_withdrawn_stake_is_out_of_reach(world: World, ledger: Ledger) -> None:
    _, fault = await the_fault(ledger, "one index twice")
    await ledger.begin_exit(OPERATOR, NODE.address)
    world.pass_time(UNBONDING + 1)
    await ledger.withdraw(OPERATOR, NODE.address)

    await assert_refused(ledger.slash(RIVAL, fault), "node is not registered")


# What the contract remembers


async def test_the_ring_holds_the_last_nine_anchors(ledger: Ledger) -> None:
    await ledger.register(OPERATOR, SECOND_NODE, ETHER, MULTIADDR)
    assert list(await ledger.ring(SECOND_NODE.address)) == []
    times = []
    for size in range(1, RING + 3):
        posted = await ledger.anchor(
            SECOND_NODE, size, LOG.root(size), LOG.consistency(size - 1, size) if size > 1 else []
        )
        times.append(posted.time)
        ring = await ledger.ring(SECOND_NODE.address)
        assert [anchor.size for anchor in ring] == list(range(max(1, size - RING + 1), size + 1))
        assert [anchor.time for anchor in ring] == times[-RING:]
        assert (await ledger.witness(SECOND_NODE.address)).complete == (size < RING)


async def test_a_witness_says_what_the_contract_knows(ledger: Ledger) -> None:
    witness = await ledger.witness(NODE.address)

    assert (witness.size, witness.root) == (SIZE, LOG.root(SIZE))
    assert witness.now == await ledger.now()
    assert list(witness.ring) == list(await ledger.ring(NODE.address))
    assert witness.complete


async def test_a_stranger_s_witness_is_empty(ledger: Ledger) -> None:
    witness = await ledger.witness(RIVAL.address)

    assert (witness.size, witness.root, witness.ring, witness.complete) == (0, ZERO_DIGEST, (), True)


async def test_what_the_ring_has_forgotten_is_not_late(ledger: Ledger) -> None:
    await ledger.register(OPERATOR, SECOND_NODE, ETHER, MULTIADDR)
    second = Signer(SECOND_NODE, ledger.domain)
    late = [LateAnchor(node=SECOND_NODE.address, promise=second.promise(at, LOG.leaf(at), 1)) for at in range(2)]
    for size in range(1, RING + 1):
        for fault in late[:size]:
            assert (await ledger.try_slash(RIVAL.address, fault)).kind == FaultKind.LATE
        await ledger.anchor(SECOND_NODE, size, LOG.root(size), LOG.consistency(size - 1, size) if size > 1 else [])

    await assert_refused(ledger.try_slash(RIVAL.address, late[0]), "receipt is not late")
    assert (await ledger.try_slash(RIVAL.address, late[1])).kind == FaultKind.LATE


# Challenges


async def test_a_challenge_is_answered_with_the_entry(world: World, ledger: Ledger) -> None:
    assert await ledger.bond(NODE.address) == BOND
    asked = await ledger.challenge(RIVAL, NODE.address, 5)
    assert (asked.node, asked.index, asked.challenger, asked.bond) == (NODE.address, 5, RIVAL.address, BOND)
    assert asked.answer_by == await ledger.now() + ANSWER_SECONDS
    assert list(await ledger.challenges(NODE.address)) == [asked]
    assert await ledger.bond(NODE.address) == 2 * BOND

    await ledger.answer(OPERATOR, NODE.address, 5, ENTRIES[5], LOG.inclusion(5, SIZE))
    assert list(await ledger.challenges(NODE.address)) == []
    assert await ledger.bond(NODE.address) == BOND
    await assert_refused(ledger.finalize(RIVAL, NODE.address, 5), "no such challenge")


async def test_an_answer_leads_to_the_present_head(ledger: Ledger) -> None:
    await ledger.challenge(RIVAL, NODE.address, 5)
    await anchor(ledger, 24, SIZE)
    await assert_refused(
        ledger.answer(NODE, NODE.address, 5, ENTRIES[5], LOG.inclusion(5, SIZE)), "leaf is not at the index"
    )
    await ledger.answer(NODE, NODE.address, 5, ENTRIES[5], LOG.inclusion(5, 24))


async def test_no_answer_costs_the_stake(world: World, ledger: Ledger) -> None:
    asked = await ledger.challenge(RIVAL, NODE.address, 5)
    await assert_refused(ledger.finalize(OPERATOR, NODE.address, 5), "time to answer is not over")
    world.pass_time(ANSWER_SECONDS + 1)
    taken = await ledger.finalize(OPERATOR, NODE.address, 5)

    assert (taken.node, taken.reporter, taken.kind) == (NODE.address, asked.challenger, FaultKind.WITHHELD)
    assert (taken.reward, taken.burnt) == (STAKE // 10, STAKE - STAKE // 10)
    assert list(await ledger.slashings()) == [taken]
    assert await ledger.node(NODE.address) is None
    assert list(await ledger.challenges(NODE.address)) == []


async def test_a_late_answer_counts_until_somebody_finalizes(world: World, ledger: Ledger) -> None:
    await ledger.challenge(RIVAL, NODE.address, 5)
    world.pass_time(ANSWER_SECONDS + 1)
    await ledger.answer(OPERATOR, NODE.address, 5, ENTRIES[5], LOG.inclusion(5, SIZE))

    await assert_refused(ledger.finalize(RIVAL, NODE.address, 5), "no such challenge")


async def test_a_challenge_outlives_the_stake_and_gives_the_bond_back(world: World, ledger: Ledger) -> None:
    await ledger.challenge(RIVAL, NODE.address, 5)
    _, fault = await the_fault(ledger, "another leaf")
    first = await ledger.slash(RIVAL, fault)
    world.pass_time(ANSWER_SECONDS + 1)
    ended = await ledger.finalize(OPERATOR, NODE.address, 5)

    assert (ended.reporter, ended.reward, ended.burnt) == (RIVAL.address, 0, 0)
    assert list(await ledger.slashings()) == [first, ended]
    assert list(await ledger.challenges(NODE.address)) == []
    assert await ledger.slash(RIVAL, fault) == first


async def test_the_bond_doubles_up_to_sixteen_open_challenges(ledger: Ledger) -> None:
    for index in range(MAX_CHALLENGES):
        assert (await ledger.challenge(RIVAL, NODE.address, index)).bond == BOND << index
    assert [asked.index for asked in await ledger.challenges(NODE.address)] == list(range(MAX_CHALLENGES))

    await assert_refused(ledger.challenge(RIVAL, NODE.address, MAX_CHALLENGES), "too many challenges are open")
    await assert_refused(ledger.challenge(RIVAL, NODE.address, 0), "challenge is open")


async def test_an_entry_can_be_asked_for_again_once_it_was_shown(ledger: Ledger) -> None:
    for _ in range(2):
        asked = await ledger.challenge(RIVAL, NODE.address, 5)
        assert list(await ledger.challenges(NODE.address)) == [asked]
        await ledger.answer(OPERATOR, NODE.address, 5, ENTRIES[5], LOG.inclusion(5, SIZE))


async def test_an_open_challenge_holds_the_stake(world: World, ledger: Ledger) -> None:
    await ledger.begin_exit(OPERATOR, NODE.address)
    await ledger.challenge(RIVAL, NODE.address, 5)
    world.pass_time(UNBONDING + 1)
    await assert_refused(ledger.withdraw(OPERATOR, NODE.address), "a challenge is open")
    await ledger.answer(OPERATOR, NODE.address, 5, ENTRIES[5], LOG.inclusion(5, SIZE))

    assert await ledger.withdraw(OPERATOR, NODE.address) == STAKE


@pytest.mark.parametrize("index", [-1, SIZE, 2**40, 2**64])
async def test_what_is_not_anchored_cannot_be_asked_for(ledger: Ledger, index: int) -> None:
    await assert_refused(ledger.challenge(RIVAL, NODE.address, index), "index is not anchored")


async def test_a_stranger_cannot_be_asked(ledger: Ledger) -> None:
    await assert_refused(ledger.challenge(RIVAL, SECOND_NODE.address, 0), "node is not registered")


@pytest.mark.parametrize(
    ("leaf", "path", "reason"),
    [
        (ENTRIES[5][:-1], LOG.inclusion(5, SIZE), "leaf is not 352 bytes"),
        (ENTRIES[5] + b"\0", LOG.inclusion(5, SIZE), "leaf is not 352 bytes"),
        (b"", LOG.inclusion(5, SIZE), "leaf is not 352 bytes"),
        (ENTRIES[6], LOG.inclusion(5, SIZE), "leaf is not at the index"),
        (ENTRIES[5], LOG.inclusion(6, SIZE), "leaf is not at the index"),
        (ENTRIES[5], [], "leaf is not at the index"),
        (ENTRIES[5], [ZERO_DIGEST] * 64, "leaf is not at the index"),
    ],
)
async def test_a_wrong_answer_is_refused(ledger: Ledger, leaf: bytes, path: list[Digest], reason: str) -> None:
    await ledger.challenge(RIVAL, NODE.address, 5)
    await assert_refused(ledger.answer(OPERATOR, NODE.address, 5, leaf, path), reason)
    assert len(await ledger.challenges(NODE.address)) == 1


# Relayed anchors


def relay(ledger: Ledger, node: Key, size: int, old: int = 0) -> Relay:
    return sign_relay(ledger.domain, node, size, LOG.root(size), LOG.consistency(old, size) if old else [])


async def test_anybody_may_post_what_nodes_signed(ledger: Ledger) -> None:
    await ledger.register(OPERATOR, SECOND_NODE, ETHER, MULTIADDR)
    relays = [relay(ledger, NODE, 22, SIZE), relay(ledger, SECOND_NODE, 7), relay(ledger, NODE, 24, 22)]
    posted = await ledger.anchor_many(RIVAL, relays)

    assert [(anchor.node, anchor.size, anchor.root) for anchor in posted] == [
        (relay.node, relay.size, relay.root) for relay in relays
    ]
    assert len({anchor.transaction for anchor in posted}) == 1
    assert list(await ledger.anchors(NODE.address))[-2:] == [posted[0], posted[2]]
    assert (await ledger.head(SECOND_NODE.address)).size == 7
    assert [anchor.size for anchor in await ledger.ring(NODE.address)] == [FIRST_SIZE, SIZE, 22, 24]


async def test_what_does_not_grow_a_log_is_passed_over(ledger: Ledger) -> None:
    relays = [relay(ledger, NODE, SIZE), relay(ledger, RIVAL, 0), relay(ledger, NODE, 24, SIZE)]
    posted = await ledger.anchor_many(RIVAL, relays)

    assert [anchor.size for anchor in posted] == [24]
    assert await ledger.anchor_many(RIVAL, relays) == []
    assert await ledger.anchor_many(RIVAL, []) == []


async def test_one_wrong_relay_reverts_all(ledger: Ledger) -> None:
    good = relay(ledger, NODE, 22, SIZE)
    forked = sign_relay(ledger.domain, NODE, 23, FORKED.root(23), FORKED.consistency(22, 23))
    by_another = relay(ledger, SECOND_NODE, 23, SIZE)
    cases = [
        (relay(ledger, SECOND_NODE, 7), "node is not registered"),
        (replace(by_another, node=NODE.address), "signature is not the node's"),
        (replace(relay(ledger, NODE, 23, 22), root=FORKED.root(23)), "signature is not the node's"),
        (forked, "proof does not lead to the old root"),
        (replace(relay(ledger, NODE, 23, 22), proof=()), "proof has the wrong length"),
    ]
    for wrong, reason in cases:
        await assert_refused(ledger.anchor_many(RIVAL, [good, wrong]), reason)
    assert (await ledger.head(NODE.address)).size == SIZE


async def test_a_checkpoint_is_no_order_to_anchor(ledger: Ledger) -> None:
    signed = Signer(NODE, ledger.domain).checkpoint(22, LOG.root(22))
    passed_off = replace(relay(ledger, NODE, 22, SIZE), signature=signed.signature)
    await assert_refused(ledger.anchor_many(RIVAL, [passed_off]), "signature is not the node's")


@pytest.mark.parametrize("length", [0, 64, 66])
async def test_a_signature_of_another_length_is_refused(ledger: Ledger, length: int) -> None:
    wrong = replace(relay(ledger, NODE, 22, SIZE), signature=Signature(bytes(length)))
    await assert_refused(ledger.anchor_many(RIVAL, [wrong]), "signature is not 65 bytes")


async def test_relays_that_do_not_fit_are_refused(ledger: Ledger) -> None:
    relays = [relay(ledger, NODE, 22, SIZE)] * (MAX_RELAYS + 1)
    await assert_refused(ledger.anchor_many(RIVAL, relays), "relays are more than 32")
    assert len(await ledger.anchor_many(RIVAL, relays[1:])) == 1
