"""What `tallynet.ledger` promises, kept by the ledger in memory and by the contract on a chain alike."""

from collections.abc import Awaitable, Sequence
from dataclasses import replace

import pytest

from tallynet.ledger.ledger import Head, Ledger, SampleBounds
from tallynet.protocol.errors import InvalidProof, Refused
from tallynet.protocol.keys import Key
from tallynet.protocol.merkle import MAX_SIZE, leaf_hash
from tallynet.protocol.merkle_tree import Tree
from tallynet.protocol.units import ZERO_DIGEST, Digest, JobId, Seconds, Wei
from tests.ledger.worlds import (
    CONFIRMATIONS,
    ETHER,
    MULTIADDR,
    NODE,
    OPERATOR,
    RIVAL,
    SECOND_NODE,
    TREE,
    UNBONDING,
    WORLDS,
    World,
)

JOB, REQUEST, OUTPUT = JobId(b"\x01" * 32), Digest(b"\x02" * 32), Digest(b"\x03" * 32)


@pytest.fixture(params=list(WORLDS))
async def world(request: pytest.FixtureRequest) -> World:
    return await WORLDS[request.param]()


@pytest.fixture
async def ledger(world: World) -> Ledger:
    """A ledger with one registered node."""
    await world.ledger.register(OPERATOR, NODE, ETHER, MULTIADDR)
    return world.ledger


async def anchor(ledger: Ledger, size: int, old: int = 0) -> None:
    await ledger.anchor(NODE, size, TREE.root(size), TREE.consistency(old, size) if old else [])


async def assert_refused(call: Awaitable[object], reason: str) -> None:
    with pytest.raises(Refused) as refusal:
        await call
    assert refusal.value.reason == f"ledger: {reason}"


# Registration


async def test_a_registered_node_is_listed(ledger: Ledger) -> None:
    entry = await ledger.node(NODE.address)

    assert entry is not None
    assert (entry.node, entry.operator, entry.stake) == (NODE.address, OPERATOR.address, ETHER)
    assert (entry.multiaddr, entry.exiting_at) == (MULTIADDR, 0)
    assert list(await ledger.nodes()) == [entry]


async def test_a_stranger_is_not_listed(ledger: Ledger) -> None:
    assert await ledger.node(RIVAL.address) is None


async def test_a_repeat_adds_stake_and_replaces_the_address(ledger: Ledger) -> None:
    await ledger.register(OPERATOR, NODE, Wei(5), "/dns4/new/tcp/1/p2p/16Uiu2HAm")

    (entry,) = await ledger.nodes()
    assert (entry.stake, entry.multiaddr) == (ETHER + 5, "/dns4/new/tcp/1/p2p/16Uiu2HAm")


async def test_one_operator_may_run_many_nodes(ledger: Ledger) -> None:
    await ledger.register(OPERATOR, SECOND_NODE, Wei(2 * ETHER), "/ip4/192.0.2.2/tcp/1/p2p/16Uiu2HAm")

    assert {entry.node: entry.stake for entry in await ledger.nodes()} == {
        NODE.address: ETHER,
        SECOND_NODE.address: 2 * ETHER,
    }


async def test_too_little_stake_is_refused(world: World) -> None:
    await assert_refused(world.ledger.register(OPERATOR, NODE, Wei(ETHER - 1), MULTIADDR), "stake is below the minimum")


async def test_stake_that_does_not_fit_is_refused(ledger: Ledger) -> None:
    await assert_refused(ledger.register(OPERATOR, NODE, Wei(2**128), MULTIADDR), "stake is too large")


async def test_a_multiaddr_that_does_not_fit_is_refused(ledger: Ledger) -> None:
    await ledger.register(OPERATOR, NODE, Wei(0), "x" * 256)
    await assert_refused(ledger.register(OPERATOR, NODE, Wei(0), "x" * 257), "multiaddr is longer than 256 bytes")


async def test_another_operator_cannot_take_a_node_over(ledger: Ledger) -> None:
    await assert_refused(ledger.register(RIVAL, NODE, ETHER, MULTIADDR), "node belongs to another operator")


# Anchors


async def test_a_node_that_never_anchored_has_an_empty_head(ledger: Ledger) -> None:
    assert await ledger.head(NODE.address) == Head(0, ZERO_DIGEST, Seconds(0))
    assert await ledger.anchors(NODE.address) == []


async def test_anchors_move_the_head_and_are_remembered(world: World, ledger: Ledger) -> None:
    first = await ledger.anchor(NODE, 7, TREE.root(7), [])
    world.pass_time(60)
    second = await ledger.anchor(NODE, 50, TREE.root(50), TREE.consistency(7, 50))

    assert await ledger.head(NODE.address) == Head(50, TREE.root(50), second.time)
    assert list(await ledger.anchors(NODE.address)) == [replace(first, confirmed=True), second]
    assert (first.node, first.size, first.root) == (NODE.address, 7, TREE.root(7))
    assert second.time >= first.time + 60
    assert second.block > first.block
    assert len({first.block_hash, second.block_hash, first.transaction, second.transaction}) == 4


async def test_anchors_of_others_are_not_mixed_in(ledger: Ledger) -> None:
    await ledger.register(OPERATOR, SECOND_NODE, ETHER, MULTIADDR)
    await anchor(ledger, 7)
    await ledger.anchor(SECOND_NODE, 3, TREE.root(3), [])

    assert [found.size for found in await ledger.anchors(NODE.address)] == [7]
    assert [found.size for found in await ledger.anchors(SECOND_NODE.address)] == [3]


async def test_anchors_can_be_read_from_a_block_on(world: World, ledger: Ledger) -> None:
    await anchor(ledger, 7)
    world.mine(12)  # more than one query of five blocks
    second = await ledger.anchor(NODE, 8, TREE.root(8), TREE.consistency(7, 8))

    assert [found.size for found in await ledger.anchors(NODE.address)] == [7, 8]
    assert [found.size for found in await ledger.anchors(NODE.address, from_block=second.block)] == [8]
    assert await ledger.anchors(NODE.address, from_block=second.block + 1) == []


async def test_an_anchor_is_confirmed_once_it_is_deep_enough(world: World, ledger: Ledger) -> None:
    posted = await ledger.anchor(NODE, 7, TREE.root(7), [])
    assert not posted.confirmed

    world.mine(CONFIRMATIONS - 1)
    assert list(await ledger.anchors(NODE.address)) == [posted]

    world.mine(1)
    assert list(await ledger.anchors(NODE.address)) == [replace(posted, confirmed=True)]


async def test_an_anchor_made_twice_is_posted_once(world: World, ledger: Ledger) -> None:
    posted = await ledger.anchor(NODE, 7, TREE.root(7), [])
    world.mine(12)
    height = await ledger.block_number()

    assert await ledger.anchor(NODE, 7, TREE.root(7), []) == replace(posted, confirmed=True)
    assert await ledger.block_number() == height


async def test_an_anchor_that_a_reorganisation_took_is_not_reported(world: World, ledger: Ledger) -> None:
    await anchor(ledger, 7)
    undo = world.mark()
    lost = await ledger.anchor(NODE, 50, TREE.root(50), TREE.consistency(7, 50))
    assert [found.size for found in await ledger.anchors(NODE.address)] == [7, 50]
    undo()

    assert [found.size for found in await ledger.anchors(NODE.address)] == [7]
    assert (await ledger.head(NODE.address)).size == 7
    world.mine(1)
    again = await ledger.anchor(NODE, 50, TREE.root(50), TREE.consistency(7, 50))
    assert again.block_hash != lost.block_hash
    assert list(await ledger.anchors(NODE.address))[1:] == [again]


async def test_a_stranger_cannot_anchor(world: World) -> None:
    await assert_refused(world.ledger.anchor(NODE, 7, TREE.root(7), []), "node is not registered")


FORKED = Tree(leaf_hash(b"another past" + bytes([number])) for number in range(100))


@pytest.mark.parametrize(
    ("size", "root", "proof", "reason"),
    [
        (9, TREE.root(9), [], "size does not grow"),
        (10, FORKED.root(10), [], "size does not grow"),
        (MAX_SIZE, TREE.root(50), TREE.consistency(10, 50), "size is too large"),
        (50, TREE.root(50), [], "proof has the wrong length"),
        (50, TREE.root(50), TREE.consistency(10, 50)[:-1], "proof has the wrong length"),
        (50, TREE.root(50), [ZERO_DIGEST] * 64, "proof has the wrong length"),
        (50, FORKED.root(50), FORKED.consistency(10, 50), "proof does not lead to the old root"),
        (50, FORKED.root(50), TREE.consistency(10, 50), "proof does not lead to the new root"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_an_anchor_that_does_not_follow_is_refused(
    ledger: Ledger, size: int, root: Digest, proof: Sequence[Digest], reason: str
) -> None:
    await anchor(ledger, 10)
    await assert_refused(ledger.anchor(NODE, size, root, proof), reason)

    assert (await ledger.head(NODE.address)).size == 10


async def test_a_first_anchor_with_a_proof_is_refused(ledger: Ledger) -> None:
    proof = TREE.consistency(3, 7)
    await assert_refused(ledger.anchor(NODE, 7, TREE.root(7), proof), "first anchor takes no proof")


# Records


async def test_a_run_can_be_recorded_by_itself(ledger: Ledger) -> None:
    record = await ledger.record(NODE, JOB, REQUEST, OUTPUT)

    assert (record.node, record.job) == (NODE.address, JOB)
    assert (record.request_hash, record.output_hash) == (REQUEST, OUTPUT)
    assert list(await ledger.records(NODE.address)) == [record]
    assert await ledger.records(RIVAL.address) == []


async def test_a_record_made_twice_is_posted_once(ledger: Ledger) -> None:
    record = await ledger.record(NODE, JOB, REQUEST, OUTPUT)

    assert await ledger.record(NODE, JOB, REQUEST, OUTPUT) == record
    assert list(await ledger.records(NODE.address)) == [record]


async def test_two_outputs_of_one_job_are_both_on_record(ledger: Ledger) -> None:
    records = [await ledger.record(NODE, JOB, REQUEST, output) for output in (OUTPUT, ZERO_DIGEST)]

    assert list(await ledger.records(NODE.address)) == records


async def test_a_stranger_cannot_record(world: World) -> None:
    await assert_refused(world.ledger.record(NODE, JOB, REQUEST, OUTPUT), "node is not registered")


# Attestations


SAID = SampleBounds(Digest(b"\x07" * 32), 7, 950_000, 49_000, 0)


async def test_an_auditor_without_a_stake_attests_what_he_found(ledger: Ledger) -> None:
    await ledger.anchor(NODE, 7, TREE.root(7), [])
    attestation = await ledger.attest(RIVAL, NODE.address, SAID)

    assert (attestation.node, attestation.auditor) == (NODE.address, RIVAL.address)
    assert attestation.bounds == SAID
    assert list(await ledger.attestations(NODE.address)) == [attestation]
    assert await ledger.attestations(RIVAL.address) == []


async def test_an_attestation_made_twice_is_posted_once(ledger: Ledger) -> None:
    await ledger.anchor(NODE, 7, TREE.root(7), [])
    attestation = await ledger.attest(RIVAL, NODE.address, SAID)
    other = await ledger.attest(NODE, NODE.address, SAID)

    assert await ledger.attest(RIVAL, NODE.address, SAID) == attestation
    assert list(await ledger.attestations(NODE.address)) == [attestation, other]


async def test_what_is_not_anchored_cannot_be_attested(ledger: Ledger) -> None:
    await ledger.anchor(NODE, 6, TREE.root(6), [])
    await assert_refused(ledger.attest(RIVAL, NODE.address, SAID), "size is not anchored")


@pytest.mark.parametrize("said", [replace(SAID, size=0), replace(SAID, size=2**40)])
async def test_no_log_of_such_a_size_can_be_attested(ledger: Ledger, said: SampleBounds) -> None:
    await assert_refused(ledger.attest(RIVAL, NODE.address, said), "size is not anchored")


@pytest.mark.parametrize(
    "said",
    [
        replace(SAID, at_least_millionths=49_001),
        replace(SAID, at_least_millionths=-1),
        replace(SAID, at_most_millionths=1_000_001),
        replace(SAID, confidence_millionths=1_000_001),
        replace(SAID, confidence_millionths=-1),
    ],
)
async def test_a_bound_that_is_no_rate_is_refused(ledger: Ledger, said: SampleBounds) -> None:
    await assert_refused(ledger.attest(RIVAL, NODE.address, said), "bound is no rate")


# Leaves


async def test_a_logged_leaf_is_verified(ledger: Ledger) -> None:
    await anchor(ledger, 11)

    await ledger.verify(NODE.address, TREE.leaf(3), 3, TREE.inclusion(3, 11))


@pytest.mark.parametrize(
    ("leaf", "index", "path"),
    [
        (TREE.leaf(4), 3, TREE.inclusion(3, 11)),
        (TREE.leaf(3), 4, TREE.inclusion(3, 11)),
        (TREE.leaf(3), 11, TREE.inclusion(3, 11)),
        (TREE.leaf(3), -1, TREE.inclusion(3, 11)),
        (TREE.leaf(3), 2**64, TREE.inclusion(3, 11)),
        (TREE.leaf(3), 3, []),
        (TREE.leaf(3), 3, [ZERO_DIGEST] * 64),
        (TREE.leaf(3), 3, [Digest(b"short")] * 4),
        (Digest(b"short"), 3, TREE.inclusion(3, 11)),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else "",
)
async def test_a_leaf_that_is_not_there_is_refused(
    ledger: Ledger, leaf: Digest, index: int, path: Sequence[Digest]
) -> None:
    await anchor(ledger, 11)
    with pytest.raises(InvalidProof):
        await ledger.verify(NODE.address, leaf, index, path)


async def test_an_empty_log_has_no_leaf(ledger: Ledger) -> None:
    with pytest.raises(InvalidProof):
        await ledger.verify(NODE.address, TREE.leaf(0), 0, [])


# Exit


async def test_the_stake_is_free_when_the_unbonding_time_is_over(world: World, ledger: Ledger) -> None:
    free_at = await ledger.begin_exit(OPERATOR, NODE.address)
    assert free_at == await ledger.now() + UNBONDING
    entry = await ledger.node(NODE.address)
    assert entry is not None
    assert entry.exiting_at == free_at

    world.pass_time(UNBONDING)
    assert await ledger.withdraw(OPERATOR, NODE.address) == ETHER
    assert await ledger.node(NODE.address) is None
    assert await ledger.nodes() == []


async def test_bound_stake_cannot_be_withdrawn(world: World, ledger: Ledger) -> None:
    await assert_refused(ledger.withdraw(OPERATOR, NODE.address), "node is not exiting")
    await ledger.begin_exit(OPERATOR, NODE.address)
    world.pass_time(UNBONDING - 60)
    await assert_refused(ledger.withdraw(OPERATOR, NODE.address), "stake is still bound")


@pytest.mark.parametrize("stranger", [RIVAL, NODE])
async def test_only_the_operator_can_give_notice_and_withdraw(ledger: Ledger, stranger: Key) -> None:
    await assert_refused(ledger.begin_exit(stranger, NODE.address), "caller is not the operator")
    await ledger.begin_exit(OPERATOR, NODE.address)
    await assert_refused(ledger.withdraw(stranger, NODE.address), "caller is not the operator")


async def test_an_exiting_node_anchors_but_is_not_registered_again(ledger: Ledger) -> None:
    await ledger.begin_exit(OPERATOR, NODE.address)
    await anchor(ledger, 7)

    await assert_refused(ledger.register(OPERATOR, NODE, ETHER, MULTIADDR), "node is exiting")
    await assert_refused(ledger.begin_exit(OPERATOR, NODE.address), "node is exiting")


async def test_a_node_that_returns_goes_on_from_its_old_head(world: World, ledger: Ledger) -> None:
    await anchor(ledger, 7)
    await ledger.begin_exit(OPERATOR, NODE.address)
    world.pass_time(UNBONDING)
    await ledger.withdraw(OPERATOR, NODE.address)
    await assert_refused(ledger.anchor(NODE, 8, TREE.root(8), TREE.consistency(7, 8)), "node is not registered")

    await ledger.register(RIVAL, NODE, ETHER, MULTIADDR)
    await assert_refused(
        ledger.anchor(NODE, 8, FORKED.root(8), FORKED.consistency(7, 8)), "proof does not lead to the old root"
    )
    await anchor(ledger, 8, old=7)


# Time


async def test_time_and_blocks_go_on(world: World, ledger: Ledger) -> None:
    now, height = await ledger.now(), await ledger.block_number()
    world.pass_time(100)
    world.mine(3)

    assert await ledger.now() >= now + 100
    assert await ledger.block_number() == height + 4
