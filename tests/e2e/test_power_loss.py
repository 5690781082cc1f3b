"""(4) Power fails at any moment, again and again: nothing that was signed is lost, no index is given twice.

The node is a process, its end is SIGKILL; sockets, log and chain are the real ones, only the model is a stand-in.
What SIGKILL does not show is a disk that forgets what it had confirmed: there the word of SQLite's synchronous mode is
taken. `make torture` does the same a thousand times.
"""

import os
import secrets
from pathlib import Path

import pytest
import trio

from tallynet.audit.node_audit import NodeAudit, NodeVerdict, audit_node
from tallynet.protocol.units import prefixed
from tests.e2e.commands import run_command
from tests.e2e.outage import Outage, open_outage

KILLS = 60


@pytest.mark.slow
async def test_nothing_signed_is_lost_and_no_index_is_given_twice(tmp_path: Path) -> None:
    seed = int(os.environ.get("TALLYNET_TEST_SEED") or secrets.randbits(32))
    print(f"TALLYNET_TEST_SEED={seed}")
    async with open_outage(tmp_path, seed) as outage:
        for _ in range(KILLS):
            await outage.strike()
        await outage.settle()
        audit = await audit_node(outage.transport, outage.ground.ledger, outage.crowd.node, outage.ground.peer)
        address, network = prefixed(outage.crowd.node), outage.ground.network_path
        code, told = await trio.to_thread.run_sync(lambda: run_command("audit", "node", address, network=network))

    report(outage, audit)
    assert outage.watch.wrong.nothing, outage.watch.wrong.words
    assert audit.verdict is NodeVerdict.PASS, audit.reason
    assert audit.entries_checked == audit.size == outage.watch.tree.size
    assert (code, told["verdict"], told["entries_checked"]) == (0, "PASS", audit.size)
    assert_it_was_hard(outage, audit)


def assert_it_was_hard(outage: Outage, audit: NodeAudit) -> None:
    """The node was hit while it worked, clients came back for their answers, the log grew and was anchored."""
    assert sum(hit > 0 for hit in outage.hits) >= 50
    assert sum(outage.hits) >= 2 * KILLS
    assert len(outage.crowd.receipts) >= 2 * KILLS
    assert outage.crowd.interrupted >= KILLS
    assert outage.ear.signatures >= 4 * KILLS
    assert audit.anchors_checked >= 5


def report(outage: Outage, audit: NodeAudit) -> None:
    """What happened, for whoever looks."""
    crowd, hits = outage.crowd, outage.hits
    print(f"{len(hits)} kills, {sum(hit > 0 for hit in hits)} of them hit running jobs, {sum(hits)} jobs in all")
    print(f"{len(crowd.receipts)} receipts held, {crowd.recovered} of them fetched from a later life of the node")
    print(f"{crowd.interrupted} jobs were interrupted, {crowd.lost} ended before their first words")
    print(f"{audit.size} entries in the log, {audit.anchors_checked} anchors")
