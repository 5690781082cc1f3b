"""A node's whole log: an honest one passes, and every way to tamper with one is named."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tallynet.audit.node_audit import NodeAudit, NodeVerdict, audit_node
from tallynet.ledger.memory import MemoryLedger
from tallynet.network.memory import MemoryNetwork, MemoryTransport
from tallynet.network.transport import PeerAddress
from tallynet.protocol.checkpoint import Checkpoint, sign_checkpoint
from tallynet.protocol.errors import ChainUnreachable, NodeUnreachable
from tallynet.protocol.keys import Key
from tallynet.protocol.leaf import LEAF_BYTES, Leaf
from tallynet.protocol.merkle import Tree, leaf_hash
from tallynet.protocol.units import Address, Digest, Milliseconds, PeerId, Wei
from tallynet.protocol.wire import LOG_PROTOCOL, MAX_ENTRIES
from tests.audit.examples import DOMAIN, NODE, STRANGER, ExampleNode, ForgetfulLedger


async def audit(
    node: ExampleNode,
    ledger: MemoryLedger,
    *,
    address: Address = NODE.address,
    progress: Callable[[int, int], None] | None = None,
) -> NodeAudit:
    network = MemoryNetwork()
    server, auditor = MemoryTransport(network, node.key), MemoryTransport(network, STRANGER.peer_id, listen=False)
    server.serve(LOG_PROTOCOL, node.serve)
    async with server.run(), auditor.run():
        return await audit_node(auditor, ledger, address, PeerAddress(server.peer, server.addresses), progress=progress)


async def honest(ledger: MemoryLedger) -> ExampleNode:
    """Nine runs: anchored at sizes 3 and 7, two more since."""
    node = ExampleNode()
    await node.register(ledger)
    for number in range(9):
        node.run()
        if number in (2, 6):
            await node.anchor(ledger)
    return node


async def test_an_honest_log_passes() -> None:
    ledger = MemoryLedger()
    node = await honest(ledger)
    told: list[tuple[int, int]] = []

    found = await audit(node, ledger, progress=lambda done, total: told.append((done, total)))

    assert found.verdict is NodeVerdict.PASS
    assert (found.entries_checked, found.anchors_checked, found.unanchored) == (9, 2, 2)
    assert (found.size, found.root) == (9, node.tree.root())
    assert found.reason == ""
    assert told == [(9, 9)]


async def test_an_empty_log_passes() -> None:
    ledger = MemoryLedger()
    node = ExampleNode()
    await node.register(ledger)

    found = await audit(node, ledger)

    assert found.verdict is NodeVerdict.PASS
    assert (found.size, found.entries_checked, found.anchors_checked) == (0, 0, 0)


@pytest.mark.slow
async def test_a_log_of_several_pages_passes() -> None:
    ledger = MemoryLedger()
    node = ExampleNode()
    await node.register(ledger)
    for number in range(2 * MAX_ENTRIES + 5):
        node.run()
        if number in (0, 1, MAX_ENTRIES - 1, MAX_ENTRIES, 2 * MAX_ENTRIES + 4):
            await node.anchor(ledger)

    found = await audit(node, ledger)

    assert found.verdict is NodeVerdict.PASS
    assert (found.entries_checked, found.anchors_checked, found.unanchored) == (2 * MAX_ENTRIES + 5, 5, 0)


def _rewrite(node: ExampleNode, index: int, **changes: object) -> None:
    """Show another leaf in place of the one that was logged."""
    shown = list(node.leaves)
    shown[index] = replace(Leaf.unpack(shown[index]), **changes).pack()  # type: ignore[arg-type]
    node.shown = shown


def _alter_anchored(node: ExampleNode) -> None:
    _rewrite(node, 4, price=Wei(1))


def _alter_unanchored(node: ExampleNode) -> None:
    _rewrite(node, 8, price=Wei(1))


def _invent(node: ExampleNode) -> None:
    _rewrite(node, 4, job=Digest(b"\x99" * 32))


def _turn_back_time(node: ExampleNode) -> None:
    _rewrite(node, 4, ended=Milliseconds(1))


def _leave_out(node: ExampleNode) -> None:
    node.shown = node.leaves[:4] + node.leaves[5:]


def _leave_out_and_sign(node: ExampleNode) -> None:
    _leave_out(node)
    _sign(node, node.shown or [])


def _repeat(node: ExampleNode) -> None:
    node.append(node.leaves[1])


def _fork(node: ExampleNode) -> None:
    """Another history, complete and signed, of the same length."""
    other = ExampleNode()
    for number in range(9):
        other.run(f"Question {number}?")
    node.shown, node.head = other.leaves, other.checkpoint


def _fork_at_an_anchor(node: ExampleNode) -> None:
    node.head = sign_checkpoint(Checkpoint(7, Digest(b"\x99" * 32)), DOMAIN, NODE)


def _shrink(node: ExampleNode) -> None:
    _sign(node, node.leaves[:5])


def _hide_the_end(node: ExampleNode) -> None:
    node.shown = node.leaves[:6]


def _other_root(node: ExampleNode) -> None:
    node.head = sign_checkpoint(Checkpoint(9, Digest(b"\x99" * 32)), DOMAIN, NODE)


def _signed_by_another(node: ExampleNode) -> None:
    node.head_key = STRANGER


def _garbage(node: ExampleNode) -> None:
    node.shown = [*node.leaves[:4], bytes(LEAF_BYTES), *node.leaves[5:]]


def _wrong_width(node: ExampleNode) -> None:
    node.shown = [b"short"] * 9


def _refuse(node: ExampleNode) -> None:
    node.refuses = True


def _sign(node: ExampleNode, shown: list[bytes]) -> None:
    tree = Tree(leaf_hash(leaf) for leaf in shown)
    node.shown, node.head = shown, sign_checkpoint(Checkpoint(tree.size, tree.root()), DOMAIN, NODE)


@pytest.mark.parametrize(
    ("cheat", "check", "words", "entries", "anchors"),
    [
        (_signed_by_another, 2, "signed by 0x", 0, 0),
        (_fork_at_an_anchor, 3, "a log of 7 entries with root 9999", 0, 0),
        (_shrink, 3, "signed a log of 5 entries", 0, 0),
        (_hide_the_end, 4, "entry 6 of 9 is not shown: the node signed a log of 9 entries and ends it", 6, 1),
        (_wrong_width, 4, "entry 0 of 9 is not shown: the frame cannot be read", 0, 0),
        (_refuse, 4, "entry 0 of 9 is not shown: The node refuses, refused: not today", 0, 0),
        (_garbage, 5, "entry 4 is no leaf: the leaf is of version 0", 4, 1),
        (_repeat, 6, "stands in the log twice, as entry 1 and as entry 9", 9, 2),
        (_invent, 7, "was not asked for by its client: signed by 0x", 4, 1),
        (_turn_back_time, 8, "entry 4 ended at 1, before it began at 1767225604000", 4, 1),
        (_alter_anchored, 9, "the first 7 entries have root", 7, 1),
        (_leave_out_and_sign, 9, "the first 7 entries have root", 7, 1),
        (_fork, 9, "the first 3 entries have root", 3, 0),
        (_leave_out, 9, "the first 7 entries have root", 7, 1),
        (_alter_unanchored, 10, "the 9 entries have root", 9, 2),
        (_other_root, 10, "the node signed 9999", 9, 2),
    ],
)
async def test_a_cheat_is_named(
    cheat: Callable[[ExampleNode], None], check: int, words: str, entries: int, anchors: int
) -> None:
    ledger = MemoryLedger()
    node = await honest(ledger)
    cheat(node)

    found = await audit(node, ledger)

    assert found.verdict is NodeVerdict.FAIL
    assert found.failure is not None
    assert found.failure.check == check
    assert words in found.reason
    assert found.reason.startswith(f"({check}) ")
    assert (found.entries_checked, found.anchors_checked) == (entries, anchors)


async def test_a_log_that_was_lost_after_it_was_anchored_is_named() -> None:
    ledger = MemoryLedger()
    await honest(ledger)

    found = await audit(ExampleNode(), ledger)

    assert found.reason.startswith("(3) the node signed a log of 0 entries")


async def test_a_node_that_the_contract_does_not_know_fails() -> None:
    found = await audit(ExampleNode(), MemoryLedger())

    assert found.reason.startswith("(1) the contract knows no node 0x")


async def test_another_peer_than_the_node_fails() -> None:
    ledger = MemoryLedger()
    await honest(ledger)

    found = await audit(ExampleNode(key=Key(b"\x77" * 32)), ledger)

    assert found.reason.startswith("(2) the node gives no checkpoint that holds: the peer asked is 0x")


async def test_a_node_that_cannot_be_reached_proves_nothing() -> None:
    ledger = MemoryLedger()
    await honest(ledger)
    auditor = MemoryTransport(MemoryNetwork(), PeerId("auditor"), listen=False)

    async with auditor.run():
        with pytest.raises(NodeUnreachable):
            await audit_node(auditor, ledger, NODE.address, PeerAddress(NODE.peer_id, ()))


async def test_a_chain_that_withholds_events_is_not_believed() -> None:
    ledger = ForgetfulLedger()
    node = await honest(ledger)
    ledger.forgets = True

    with pytest.raises(ChainUnreachable, match="do not lead to the head of size 7"):
        await audit(node, ledger)
