"""What it costs to audit a whole log: processor seconds for 100,000 entries, the node's serving of them included.

The log is a node's own, on disk, served in this process; every entry is of a job that its client signed.
"""

from collections.abc import Sequence
from pathlib import Path

import trio

from tallynet.audit.node_audit import NodeAudit, NodeVerdict, audit_node
from tallynet.devnet.bench.leaves import ANCHOR_BY, ANSWER, make_signed_leaf
from tallynet.devnet.bench.report import Row, at_most
from tallynet.ledger.memory import MemoryLedger
from tallynet.network.memory import MemoryNetwork, MemoryTransport
from tallynet.network.transport import PeerAddress
from tallynet.node.journal import Journal, open_journal
from tallynet.node.log_desk import LogDesk
from tallynet.protocol.errors import InvalidCheckpoint
from tallynet.protocol.keys import Key
from tallynet.protocol.leaf import Leaf
from tallynet.protocol.units import Wei
from tallynet.protocol.wire import LOG_PROTOCOL

CLIENTS = 100
AT_ONCE = 1000
"""Entries between two anchors, written with one synchronisation."""
SCALE = 100_000
MOST_SECONDS = 10.0
STAKE = Wei(10**18)


async def measure_audit(folder: Path, entries: int) -> Row:
    """Audit a log of `entries`; raises what is wrong with it."""
    ledger, key = MemoryLedger(minimum_stake=STAKE), Key.generate()
    await ledger.register(Key.generate(), key, STAKE, "/memory")
    clients = [Key.generate() for _ in range(CLIENTS)]
    leaves = [make_signed_leaf(number, clients[number % CLIENTS]) for number in range(1, entries + 1)]
    with open_journal(folder, key.address, ledger.domain) as journal:
        for start in range(0, entries, AT_ONCE):
            await _write(journal, leaves[start : start + AT_ONCE])
            await _anchor(journal, ledger, key)
        audit = await _audit(LogDesk(key, ledger.domain, journal), ledger, key)
    seconds = audit.cpu_seconds * SCALE / entries
    return at_most("audit_cpu_seconds", f"audit of {SCALE:,}, CPU time", seconds, "s", MOST_SECONDS)


async def _write(journal: Journal, leaves: Sequence[Leaf]) -> None:
    async with trio.open_nursery() as nursery:
        for leaf in leaves:
            nursery.start_soon(journal.append, leaf, ANCHOR_BY, ANSWER[:1], ANCHOR_BY)


async def _anchor(journal: Journal, ledger: MemoryLedger, key: Key) -> None:
    old, tree = (await ledger.head(key.address)).size, journal.tree
    await ledger.anchor(key, tree.size, tree.root(), tree.consistency(old) if old else [])


async def _audit(desk: LogDesk, ledger: MemoryLedger, key: Key) -> NodeAudit:
    network = MemoryNetwork()
    node, auditor = MemoryTransport(network, key), MemoryTransport(network, Key.generate(), listen=False)
    node.serve(LOG_PROTOCOL, desk.serve)
    async with node.run(), auditor.run():
        audit = await audit_node(auditor, ledger, key.address, PeerAddress(node.peer, node.addresses))
    if audit.verdict is not NodeVerdict.PASS:
        raise audit.failure or InvalidCheckpoint("the audit of a sound log failed")
    return audit
