"""A node that is killed again and again while a crowd asks it, and everybody who watches that."""

import random
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trio

from tallynet.client import AsyncClient
from tallynet.network.host import Libp2pTransport
from tallynet.network.log_reader import LogReader
from tallynet.protocol.keys import Key
from tests.e2e.crowd import TOKENS_PER_SECOND, Crowd
from tests.e2e.ear import Ear, EavesdroppingTransport
from tests.e2e.ground import Ground, open_ground
from tests.e2e.launcher import Launcher, open_launcher
from tests.e2e.watch import Watch, Wrong

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
    ear: Ear
    transport: EavesdroppingTransport
    chance: random.Random
    hits: list[int] = field(default_factory=list)
    """For every kill, how many jobs were running in the node, by its own words."""
    pid: int = 0
    """Of the node that runs now."""

    async def strike(self) -> None:
        """One life of the node: it starts, all that was promised before is still there, it is killed."""
        log = self.ground.seat.log
        said = log.stat().st_size if log.exists() else 0
        await self._start()
        if len(self.hits) % DIRECTED:
            await trio.sleep(self.chance.uniform(0, LONGEST_LIFE_SECONDS))
        else:
            await self.crowd.next_receipt()
        await self.kill()
        self.crowd.power_off()
        with log.open() as lines:
            lines.seek(said)
            life = lines.read()
        self.hits.append(len(set(ADMITTED.findall(life)) - set(ENDED.findall(life))))

    async def kill(self) -> None:
        """End the node's present life."""
        await self.launcher.kill(self.pid)

    async def settle(self) -> None:
        """Start the node for good; wait until all jobs have ended and the whole log is anchored.

        Raises `trio.TooSlowError` after PATIENCE_SECONDS.
        """
        with trio.fail_after(PATIENCE_SECONDS):
            await self._start()
            self.crowd.close()
            await self.crowd.ended.wait()
            await self.watch.look(self.crowd.receipts)
            while (await self.ground.ledger.head(self.crowd.node)).size < self.watch.tree.size:
                await trio.sleep(ANCHOR_SECONDS)

    async def _start(self) -> None:
        self.pid = (await self.launcher.start(self.ground.seat))["pid"]
        self.crowd.power_on()
        await self.watch.look(self.crowd.receipts)


@asynccontextmanager
async def open_outage(folder: Path, seed: int) -> AsyncIterator[Outage]:
    """A chain, a node that has not been started yet, and a crowd that waits for it."""
    wrong = Wrong()
    ear = Ear(wrong)
    transport = EavesdroppingTransport(Libp2pTransport(Key.generate(), listen=()), ear)
    async with (
        open_ground(folder, f"fake:paced@{TOKENS_PER_SECOND}", anchor_seconds=ANCHOR_SECONDS) as ground,
        open_launcher(folder) as launcher,
        AsyncClient(
            ground.network, key=Key.generate(), transport=transport, ledger=ground.ledger, keep=False
        ) as client,
        trio.open_nursery() as nursery,
    ):
        crowd = Crowd(client, ground.seat.member.key.address, random.Random(seed))
        watch = Watch(LogReader(transport, ground.peer, ground.network.domain), wrong)
        nursery.start_soon(crowd.run)
        yield Outage(launcher, ground, crowd, watch, ear, transport, random.Random(seed))
        nursery.cancel_scope.cancel()
