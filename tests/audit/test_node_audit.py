"""A node's whole log: an honest one passes, and every way to tamper with one is named."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from tallynet.audit.audit_state import AuditState, contradiction, read_state, write_state
from tallynet.audit.node_audit import NodeAudit, NodeVerdict, audit_node
from tallynet.ledger.memory import MemoryLedger
from tallynet.network.memory import MemoryNetwork, MemoryTransport
from tallynet.network.transport import PeerAddress
from tallynet.protocol.checkpoint import Checkpoint, sign_checkpoint
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import ChainUnreachable, Misconfigured, NodeUnreachable
from tallynet.protocol.fault import FaultKind, NotAPrefix
from tallynet.protocol.keys import Key
from tallynet.protocol.leaf import LEAF_BYTES, Leaf
from tallynet.protocol.merkle import leaf_hash
from tallynet.protocol.merkle_tree import Tree
from tallynet.protocol.tiles import TILE_WIDTH
from tallynet.protocol.units import Address, Digest, Milliseconds, PeerId, Wei
from tallynet.protocol.wire import LOG_PROTOCOL
from tests.audit.examples import DOMAIN, NODE, STRANGER, ExampleNode, ForgetfulLedger


async def audit(
    node: ExampleNode,
    ledger: MemoryLedger,
    *,
    address: Address = NODE.address,
    progress: Callable[[int, int], None] | None = None,
    begun: AuditState | None = None,
    keep: Callable[[AuditState], None] | None = None,
) -> NodeAudit:
    network = MemoryNetwork()
    server, auditor = MemoryTransport(network, node.key), MemoryTransport(network, STRANGER.peer_id, listen=False)
    server.serve(LOG_PROTOCOL, node.serve)
    async with server.run(), auditor.run():
        peer = PeerAddress(server.peer, server.addresses)
        return await audit_node(auditor, ledger, address, peer, progress=progress, begun=begun, keep=keep)


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
    for number in range(2 * TILE_WIDTH + 5):
        node.run()
        if number in (0, 1, TILE_WIDTH - 1, TILE_WIDTH, 2 * TILE_WIDTH + 4):
            await node.anchor(ledger)

    found = await audit(node, ledger)

    assert found.verdict is NodeVerdict.PASS
    assert (found.entries_checked, found.anchors_checked, found.unanchored) == (2 * TILE_WIDTH + 5, 5, 0)


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
    node.shown = node.leaves[:4] + node.leaves[5:] + node.leaves[:1]


def _leave_out_and_sign(node: ExampleNode) -> None:
    _sign(node, node.leaves[:4] + node.leaves[5:])


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


def _other_tile(node: ExampleNode) -> None:
    """The hashes that proofs are made of, without the entries: another log's."""
    node.tree_shown = Tree(map(leaf_hash, [bytes([number]) for number in range(9)]))


def _sign(node: ExampleNode, shown: list[bytes]) -> None:
    tree = Tree(leaf_hash(leaf) for leaf in shown)
    node.shown, node.head = shown, sign_checkpoint(Checkpoint(tree.size, tree.root()), DOMAIN, NODE)


@pytest.mark.parametrize(
    ("cheat", "check", "words", "entries", "anchors"),
    [
        (_signed_by_another, 2, "the note is no checkpoint of tallynet/31337/0x", 0, 0),
        (_fork_at_an_anchor, 3, "a log of 7 entries with root 9999", 0, 0),
        (_shrink, 3, "signed a log of 5 entries", 0, 0),
        (_hide_the_end, 4, "entry 0 of 9 is not shown: The node refuses, refused: there is no such file", 0, 0),
        (_wrong_width, 4, "entry 0 of 9 is not shown: tile/entries/000.p/9 is not 9 entries of 352 bytes", 0, 0),
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
        (_other_tile, 11, "tile/0/000.p/9 does not hold the hashes of the entries shown", 9, 2),
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


async def test_a_checkpoint_that_contradicts_an_anchor_is_evidence() -> None:
    for size, root in ((7, Digest(b"\x99" * 32)), (3, Digest(b"\x99" * 32))):
        ledger = MemoryLedger()
        node = await honest(ledger)
        node.head = sign_checkpoint(Checkpoint(size, root), DOMAIN, NODE)

        found = await audit(node, ledger)

        assert isinstance(found.fault, NotAPrefix)
        assert (await ledger.slash(STRANGER, found.fault)).kind is FaultKind.PREFIX


async def test_a_failure_without_proof_is_no_evidence() -> None:
    ledger = MemoryLedger()
    node = await honest(ledger)
    _alter_anchored(node)

    assert (await audit(node, ledger)).fault is None


# --- going on where an audit stopped ----------------------------------------------------------------------

LONG = 3 * TILE_WIDTH + 5


async def long(ledger: MemoryLedger) -> ExampleNode:
    """So many entries; anchored are two bundles and a half, and all but the last."""
    node = ExampleNode()
    await node.register(ledger)
    for number in range(LONG):
        node.append(ENTRIES[number])
        if number in (2 * TILE_WIDTH + 127, LONG - 2):
            await node.anchor(ledger)
    return node


def _entries() -> list[bytes]:
    node = ExampleNode()
    for _ in range(LONG):
        node.run()
    return node.leaves


ENTRIES = _entries()


async def test_an_audit_goes_on_where_another_stopped(tmp_path: Path) -> None:
    ledger, path = MemoryLedger(), tmp_path / "audit"
    node = await long(ledger)
    node.shown = node.leaves[: 2 * TILE_WIDTH]
    stopped = await audit(node, ledger, keep=lambda state: write_state(path, state))
    assert (stopped.entries_checked, stopped.failure and stopped.failure.check) == (2 * TILE_WIDTH, 4)
    told: list[int] = []

    node.shown = None
    found = await audit(node, ledger, begun=read_state(path), progress=lambda done, total: told.append(done))

    assert (found.verdict, found.resumed_from, found.discarded) == (NodeVerdict.PASS, 2 * TILE_WIDTH, "")
    assert (found.entries_checked, found.anchors_checked) == (LONG, 2)
    assert told == [3 * TILE_WIDTH, LONG]


async def test_an_audit_that_goes_on_sees_jobs_and_roots_of_before(tmp_path: Path) -> None:
    ledger = MemoryLedger()
    node = await long(ledger)
    states: list[AuditState] = []
    await audit(node, ledger, keep=states.append)
    assert [state.size for state in states] == [3 * TILE_WIDTH]

    node.append(node.leaves[1])
    assert (await audit(node, ledger, begun=states[0])).reason.startswith("(6) job ")
    _rewrite(node, LONG - 3, price=Wei(1))
    assert (await audit(node, ledger, begun=states[0])).reason.startswith("(9) ")


async def test_a_state_that_contradicts_the_chain_is_thrown_away() -> None:
    ledger = MemoryLedger()
    node = await long(ledger)
    states: list[AuditState] = []
    await audit(node, ledger, keep=states.append)
    ledger.rewind(2)
    await node.anchor(ledger)

    found = await audit(node, ledger, begun=states[0])

    assert (found.verdict, found.resumed_from) == (NodeVerdict.PASS, 0)
    assert found.discarded == "the chain knows other anchors than it was checked against"
    assert contradiction(states[0], Domain(5, DOMAIN.contract), NODE.address, []) != ""
    assert contradiction(states[0], DOMAIN, STRANGER.address, []) == "it is that of another node or network"


async def test_nothing_is_kept_of_what_is_not_anchored() -> None:
    ledger, node, states = MemoryLedger(), ExampleNode(), list[AuditState]()
    await node.register(ledger)
    for entry in ENTRIES:
        node.append(entry)

    assert (await audit(node, ledger, keep=states.append)).verdict is NodeVerdict.PASS
    assert states == []


async def test_every_byte_of_a_state_counts(tmp_path: Path) -> None:
    ledger, path = MemoryLedger(), tmp_path / "audit"
    await audit(await long(ledger), ledger, keep=lambda state: write_state(path, state))
    data = path.read_bytes()

    for at in [*range(0, 400, 3), *range(400, len(data), 997)]:
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with pytest.raises(Misconfigured, match="is no state of an audit"):
            read_state(path)
    path.write_bytes(b"")
    with pytest.raises(Misconfigured):
        read_state(path)
    assert read_state(tmp_path / "none") is None


async def test_a_cancelled_audit_keeps_how_far_it_came(tmp_path: Path) -> None:
    ledger, states = MemoryLedger(), list[AuditState]()
    node = await long(ledger)
    with trio.CancelScope() as scope:
        await audit(node, ledger, keep=states.append, progress=lambda done, total: scope.cancel())

    assert [state.size for state in states] == [TILE_WIDTH]
    assert (await audit(node, ledger, begun=states[0])).resumed_from == TILE_WIDTH
