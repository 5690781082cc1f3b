"""(4) Power fails at any moment, again and again: nothing that was signed is lost, no index is given twice.

The node is a process, its end is SIGKILL; sockets, log and chain are the real ones, only the model is a stand-in.
What SIGKILL does not show is a disk that forgets what it had confirmed: there the word of SQLite's synchronous mode is
taken.
"""

import json
import os
import random
import re
import secrets
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trio

from tallynet.audit.node_audit import NodeAudit, NodeVerdict, audit_node
from tallynet.client import AsyncClient
from tallynet.network.host import Libp2pTransport
from tallynet.network.log_reader import LogReader
from tallynet.protocol.keys import Key
from tallynet.protocol.units import prefixed
from tests.e2e.crowd import TOKENS_PER_SECOND, Crowd
from tests.e2e.ground import Ground, open_ground
from tests.e2e.launcher import Launcher, open_launcher
from tests.e2e.watch import Watch

KILLS = 60
LONGEST_LIFE_SECONDS = 1.2
"""From the moment that the log has been looked at to the kill, at most."""
DIRECTED = 6
"""Every sixth kill comes when a client has just got a receipt: the worst moment for a log that lags behind."""
ANCHOR_SECONDS = 0.2
PATIENCE_SECONDS = 60.0

ADMITTED = re.compile(r"job (\S+): admitted")
ENDED = re.compile(r"job (\S+): \w+ after \d+ tokens")


@dataclass
class Outage:
    """Starts the node, kills it in the middle of its work, and counts what that hit."""

    launcher: Launcher
    ground: Ground
    crowd: Crowd
    watch: Watch
    chance: random.Random
    hits: list[int] = field(default_factory=list)
    """For every kill, how many jobs were running in the node, by its own words."""

    async def strike(self) -> None:
        """One life of the node: it starts, all that was promised before is still there, it is killed."""
        log = self.ground.seat.log
        said = log.stat().st_size if log.exists() else 0
        pid = await self._start()
        if len(self.hits) % DIRECTED:
            await trio.sleep(self.chance.uniform(0, LONGEST_LIFE_SECONDS))
        else:
            await self.crowd.next_receipt()
        await self.launcher.kill(pid)
        self.crowd.power_off()
        with log.open() as lines:
            lines.seek(said)
            life = lines.read()
        self.hits.append(len(set(ADMITTED.findall(life)) - set(ENDED.findall(life))))

    async def settle(self) -> None:
        """Start the node for good; wait until all jobs have ended and the whole log is anchored."""
        await self._start()
        self.crowd.close()
        await self.crowd.ended.wait()
        await self.watch.look(self.crowd.receipts)
        while (await self.ground.ledger.head(self.crowd.node)).size < self.watch.tree.size:
            await trio.sleep(ANCHOR_SECONDS)

    async def _start(self) -> int:
        pid: int = (await self.launcher.start(self.ground.seat))["pid"]
        self.crowd.power_on()
        await self.watch.look(self.crowd.receipts)
        return pid


@pytest.mark.slow
async def test_nothing_signed_is_lost_and_no_index_is_given_twice(tmp_path: Path) -> None:
    seed = int(os.environ.get("TALLYNET_TEST_SEED") or secrets.randbits(32))
    print(f"TALLYNET_TEST_SEED={seed}")
    transport = Libp2pTransport(Key.generate(), listen=())
    async with (
        open_ground(tmp_path, f"fake:paced@{TOKENS_PER_SECOND}", anchor_seconds=ANCHOR_SECONDS) as ground,
        open_launcher(tmp_path) as launcher,
        AsyncClient(ground.network, key=Key.generate(), transport=transport, ledger=ground.ledger) as client,
        trio.open_nursery() as nursery,
    ):
        crowd = Crowd(client, ground.seat.member.key.address, random.Random(seed))
        watch = Watch(LogReader(transport, ground.peer, ground.network.domain))
        outage = Outage(launcher, ground, crowd, watch, random.Random(seed))
        nursery.start_soon(crowd.run)
        for _ in range(KILLS):
            await outage.strike()
        with trio.fail_after(PATIENCE_SECONDS):
            await outage.settle()
        audit = await audit_node(transport, ground.ledger, crowd.node, ground.peer)
        told = await trio.to_thread.run_sync(run_audit, ground)

    report(outage, audit)
    assert audit.verdict is NodeVerdict.PASS, audit.reason
    assert audit.entries_checked == audit.size == watch.tree.size
    assert (told["verdict"], told["entries_checked"]) == ("PASS", audit.size)
    assert_it_was_hard(outage, audit)


def assert_it_was_hard(outage: Outage, audit: NodeAudit) -> None:
    """The node was hit while it worked, clients came back for their answers, the log grew and was anchored."""
    assert sum(hit > 0 for hit in outage.hits) >= 50
    assert sum(outage.hits) >= 2 * KILLS
    assert len(outage.crowd.receipts) >= 2 * KILLS
    assert outage.crowd.interrupted >= KILLS
    assert audit.anchors_checked >= 5


def run_audit(ground: Ground) -> dict[str, object]:
    """`tallynet audit node ADDRESS`, as anybody would run it."""
    address = prefixed(ground.seat.member.key.address)
    done = subprocess.run(
        [sys.executable, "-m", "tallynet.devnet.command", "audit", "node", address, "--json"],
        env={**os.environ, "TALLYNET_NETWORK": str(ground.network_path)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return told


def report(outage: Outage, audit: NodeAudit) -> None:
    """What happened, for whoever looks."""
    crowd, hits = outage.crowd, outage.hits
    print(f"{len(hits)} kills, {sum(hit > 0 for hit in hits)} of them hit running jobs, {sum(hits)} jobs in all")
    print(f"{len(crowd.receipts)} receipts held, {crowd.recovered} of them fetched from a later life of the node")
    print(f"{crowd.interrupted} jobs were interrupted, {crowd.lost} ended before their first words")
    print(f"{audit.size} entries in the log, {audit.anchors_checked} anchors")
