"""What the chain adds to a bundle, and how a bundle without an anchor is completed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from tallynet.audit.anchoring import Chain, reference
from tallynet.audit.claims import Level, level, not_proven
from tallynet.audit.verdict import Verdict
from tallynet.audit.verify import verify_offline, verify_online
from tallynet.ledger.memory import MemoryLedger
from tallynet.network.log_reader import LogReader
from tallynet.network.memory import MemoryNetwork, MemoryTransport
from tallynet.network.transport import PeerAddress
from tallynet.protocol.bundle import Bundle, attach_anchor, write_bundle
from tallynet.protocol.bundle_checks import CheckResult, State
from tallynet.protocol.errors import ChainUnreachable, NodeUnreachable, Refused
from tallynet.protocol.merkle import leaf_hash
from tallynet.protocol.merkle_tree import Tree
from tallynet.protocol.units import Address, Digest, Seconds
from tallynet.protocol.wire import LOG_PROTOCOL
from tests.audit.examples import ANCHOR_BY, DOMAIN, OPERATOR, STRANGER, ExampleNode, ForgetfulLedger


class Clock:
    """Seconds since the epoch, as the chain sees them."""

    def __init__(self, now: float = 1_767_230_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def served(node: ExampleNode, ledger: MemoryLedger) -> AsyncIterator[Chain]:
    """An auditor's connection to the ledger and to the node, which serves its log."""
    network = MemoryNetwork()
    server, auditor = MemoryTransport(network, node.key), MemoryTransport(network, STRANGER, listen=False)
    server.serve(LOG_PROTOCOL, node.serve)

    async def find(address: Address) -> LogReader:
        assert address == node.key.address
        return LogReader(auditor, PeerAddress(server.peer, server.addresses), ledger.domain)

    async with server.run(), auditor.run():
        yield Chain(ledger, find)


async def nowhere(address: Address) -> LogReader:
    raise NodeUnreachable("the node is not needed")


def _data(bundle: Bundle) -> bytes:
    return write_bundle(bundle).encode()


async def _anchored(ledger: MemoryLedger) -> tuple[ExampleNode, Bundle]:
    """Five runs, anchored; the bundle of the third, with that anchor."""
    node = ExampleNode()
    runs = [node.run() for _ in range(5)]
    await node.register(ledger)
    anchor = await node.anchor(ledger)
    return node, attach_anchor(runs[2], reference(anchor), node.tree.inclusion(2, 5), node.note(5))


async def test_an_anchored_bundle_holds_to_the_chain() -> None:
    ledger = MemoryLedger()
    _, bundle = await _anchored(ledger)
    told: list[CheckResult] = []

    found = await verify_online(_data(bundle), Chain(ledger, nowhere), told.append)

    assert found.verdict is Verdict.OK
    assert tuple(told) == found.results
    assert [result.number for result in told] == list(range(1, 14))
    assert {result.state for result in told} == {State.OK}
    assert level(found) is Level.ANCHORED
    assert not found.completed


async def test_offline_the_same_bundle_is_logged_only() -> None:
    _, bundle = await _anchored(MemoryLedger())

    found = verify_offline(_data(bundle), DOMAIN)

    assert found.verdict is Verdict.OK
    assert level(found) is Level.LOGGED
    assert any("file's word" in sentence for sentence in not_proven(found))


async def test_an_anchor_of_many_later_ones_still_holds() -> None:
    ledger = MemoryLedger()
    node, bundle = await _anchored(ledger)
    node.run()
    await node.anchor(ledger)

    assert (await verify_online(_data(bundle), Chain(ledger, nowhere))).verdict is Verdict.OK


OTHER = Digest(b"\x99" * 32)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"time": Seconds(7)}, "anchor's time is 7 in the file"),
        ({"block": 99}, "anchor's block is 99 in the file, 2 on the chain"),
        ({"block_hash": OTHER}, "anchor's block hash is 0x9999"),
        ({"transaction": OTHER}, "anchor's transaction is 0x9999"),
    ],
)
async def test_what_only_the_file_says_of_its_anchor_fails_on_the_chain(changes: dict[str, object], words: str) -> None:
    ledger = MemoryLedger()
    _, bundle = await _anchored(ledger)
    assert bundle.inclusion is not None
    forged = replace(bundle.inclusion.anchor, **changes)  # type: ignore[arg-type]
    data = _data(replace(bundle, inclusion=replace(bundle.inclusion, anchor=forged)))

    found = await verify_online(data, Chain(ledger, nowhere))

    assert verify_offline(data).verdict is Verdict.OK  # the file alone cannot tell
    assert found.failure is not None
    assert found.failure.check == 11
    assert words in found.failure.message


async def test_a_signed_head_that_was_never_anchored_fails_on_the_chain() -> None:
    """The node's own signature does not make it an anchor."""
    ledger = MemoryLedger()
    node, bundle = await _anchored(ledger)
    node.run()
    data = _data(node.anchored(bundle, 6))

    found = await verify_online(data, Chain(ledger, nowhere))

    assert verify_offline(data).verdict is Verdict.OK
    assert found.failure is not None
    assert found.failure.check == 11
    assert "no anchor of size 6 by this node; the newest it knows: 5" in found.failure.message


async def test_a_log_that_was_never_anchored_fails_on_the_chain() -> None:
    """Anybody can make a tree of one leaf; its root is on no chain."""
    ledger = MemoryLedger()
    node = ExampleNode()
    bundle = node.anchored(node.run())

    found = await verify_online(_data(bundle), Chain(ledger, nowhere))

    assert found.failure is not None
    assert found.failure.check == 11
    assert "newest it knows: none" in found.failure.message


async def test_another_root_of_the_same_size_fails_on_the_chain() -> None:
    ledger = MemoryLedger()
    await _anchored(ledger)
    fork = ExampleNode()
    runs = [fork.run(f"Question {number}?") for number in range(5)]

    found = await verify_online(_data(fork.anchored(runs[2])), Chain(ledger, nowhere))

    assert found.failure is not None
    assert "anchor's root is" in found.failure.message


async def test_another_network_is_named_before_anything_else() -> None:
    ledger = MemoryLedger(chain_id=5)
    _, bundle = await _anchored(MemoryLedger())

    found = await verify_online(_data(bundle), Chain(ledger, nowhere))

    assert found.failure is not None
    assert found.failure.check == 2
    assert "chain 31337, the network is" in found.failure.message


async def test_a_young_block_is_pending() -> None:
    ledger = MemoryLedger(confirmations=3)
    _, bundle = await _anchored(ledger)

    young = await verify_online(_data(bundle), Chain(ledger, nowhere))
    ledger.mine(3)
    old = await verify_online(_data(bundle), Chain(ledger, nowhere))

    assert young.verdict is Verdict.PENDING
    assert young.state(11) is State.PENDING
    assert old.verdict is Verdict.OK


async def test_an_anchor_that_was_reorganised_away_fails() -> None:
    ledger = MemoryLedger()
    _, bundle = await _anchored(ledger)
    ledger.rewind(1)

    found = await verify_online(_data(bundle), Chain(ledger, nowhere))

    assert found.failure is not None
    assert found.failure.check == 11


async def test_a_late_anchor_breaks_the_promise() -> None:
    ledger = MemoryLedger(clock=Clock())
    node = ExampleNode()
    run = node.run(anchor_by=Seconds(1_767_229_999))
    await node.register(ledger)
    anchor = await node.anchor(ledger)
    bundle = attach_anchor(run, reference(anchor), [], node.note(1))

    found = await verify_online(_data(bundle), Chain(ledger, nowhere))

    assert found.failure is not None
    assert found.failure.check == 12
    assert "anchored at 2026-01-01 01:13:20 UTC, the node signed by 2026-01-01 01:13:19" in found.failure.message


async def test_a_later_anchor_in_the_file_does_not_make_the_first_one_late() -> None:
    clock = Clock()
    ledger = MemoryLedger(clock=clock)
    node = ExampleNode()
    run = node.run(anchor_by=Seconds(1_767_230_000))
    await node.register(ledger)
    await node.anchor(ledger)
    clock.now += 500
    node.run()
    second = await node.anchor(ledger)
    bundle = attach_anchor(run, reference(second), node.tree.inclusion(0, 2), node.note(2))

    assert (await verify_online(_data(bundle), Chain(ledger, nowhere))).verdict is Verdict.OK


async def test_a_run_of_a_node_that_has_left_still_holds() -> None:
    clock = Clock()
    ledger = MemoryLedger(clock=clock, unbonding_seconds=10)
    node, bundle = await _anchored(ledger)
    await ledger.begin_exit(OPERATOR, node.key.address)
    clock.now += 11
    await ledger.withdraw(OPERATOR, node.key.address)

    found = await verify_online(_data(bundle), Chain(ledger, nowhere))

    assert found.verdict is Verdict.OK
    assert "stake withdrawn" in found.results[-1].detail


# --- completing ------------------------------------------------------------------------------------------


async def test_a_bundle_is_completed_from_chain_and_node() -> None:
    ledger = MemoryLedger()
    node, anchored = await _anchored(ledger)
    bare = replace(anchored, inclusion=None)

    async with served(node, ledger) as chain:
        found = await verify_online(_data(bare), chain)

    assert found.verdict is Verdict.OK
    assert found.completed
    assert found.bundle == anchored


async def test_the_first_anchor_that_covers_the_run_is_taken() -> None:
    ledger = MemoryLedger()
    node = ExampleNode()
    await node.register(ledger)
    run = node.run()
    await node.anchor(ledger)
    node.run()
    await node.anchor(ledger)

    async with served(node, ledger) as chain:
        found = await verify_online(_data(run), chain)

    assert found.bundle is not None and found.bundle.inclusion is not None
    assert found.bundle.inclusion.anchor.size == 1


async def test_a_run_that_is_not_anchored_yet_is_pending() -> None:
    ledger = MemoryLedger()
    node = ExampleNode()
    await node.register(ledger)
    data = _data(node.run())

    for found in (await verify_online(data, Chain(ledger, nowhere)), verify_offline(data)):
        assert found.verdict is Verdict.PENDING
        assert found.state(9) is State.PENDING
        assert found.state(10) is State.OK
        assert level(found) is Level.SIGNED
        assert any("not anchored" in sentence for sentence in not_proven(found))


async def test_a_promise_that_was_never_kept_is_a_failure() -> None:
    clock = Clock(float(ANCHOR_BY))
    ledger = MemoryLedger(clock=clock)
    node = ExampleNode()
    await node.register(ledger)
    data = _data(node.run())

    assert (await verify_online(data, Chain(ledger, nowhere))).verdict is Verdict.PENDING
    clock.now += 1
    ledger.mine()
    found = await verify_online(data, Chain(ledger, nowhere))

    assert found.failure is not None
    assert found.failure.check == 12
    assert "the promise is broken" in found.failure.message
    assert found.failure.evidence["promised"] == ANCHOR_BY


async def test_a_path_that_does_not_lead_to_the_anchor_is_a_failure() -> None:
    ledger = MemoryLedger()
    node, anchored = await _anchored(ledger)
    node.tree = Tree(leaf_hash(b"another log %d" % number) for number in range(5))

    async with served(node, ledger) as chain:
        found = await verify_online(_data(replace(anchored, inclusion=None)), chain)

    assert found.failure is not None
    assert found.failure.check == 9
    assert "leads to" in found.failure.message
    assert not found.completed


async def test_a_chain_that_withholds_events_accuses_nobody() -> None:
    clock = Clock()
    ledger = ForgetfulLedger(clock=clock)
    _, anchored = await _anchored(ledger)
    ledger.forgets, clock.now = True, ANCHOR_BY + 1
    ledger.mine()

    for bundle in (anchored, replace(anchored, inclusion=None)):
        with pytest.raises(ChainUnreachable, match="do not lead to the head of size 5"):
            await verify_online(_data(bundle), Chain(ledger, nowhere))


async def test_a_node_that_cannot_be_reached_proves_nothing() -> None:
    ledger = MemoryLedger()
    _, anchored = await _anchored(ledger)

    with pytest.raises(NodeUnreachable):
        await verify_online(_data(replace(anchored, inclusion=None)), Chain(ledger, nowhere))


async def test_a_node_that_refuses_the_path_is_told_of() -> None:
    ledger = MemoryLedger()
    node, anchored = await _anchored(ledger)
    node.refuses = True

    async with served(node, ledger) as chain:
        with pytest.raises(Refused, match="The node refuses"):
            await verify_online(_data(replace(anchored, inclusion=None)), chain)


async def test_a_damaged_file_is_never_completed() -> None:
    ledger = MemoryLedger()
    node, anchored = await _anchored(ledger)
    data = _data(replace(anchored, inclusion=None))
    at = data.index(b"sha256 ") + 7
    damaged = data[:at] + (b"A" if data[at : at + 1] != b"A" else b"B") + data[at + 1 :]

    async with served(node, ledger) as chain:
        found = await verify_online(damaged, chain)

    assert found.failure is not None
    assert found.failure.check == 10
