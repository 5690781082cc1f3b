"""One kind of cheat in a small network of its own: real clients give it work, time passes, and it is looked for."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from tallynet.audit.evidence import Suspect
from tallynet.client.client import AsyncClient
from tallynet.devnet.cheats.cheat import HONEST_JOBS, CheatingNode, LedgerCheat
from tallynet.devnet.cheats.court import convict
from tallynet.devnet.cheats.detective import Detective
from tallynet.devnet.cheats.late_anchor import LATENESS_MS
from tallynet.devnet.cheats.report import HONEST, STOPPED, Result
from tallynet.devnet.fixture import SETTINGS, Devnet, DevnetNode, open_devnet
from tallynet.devnet.world import MovableClock, World
from tallynet.network.log_reader import LogReader
from tallynet.protocol.receipt import SignedReceipt

CLIENTS = 2
FIRST_JOBS = HONEST_JOBS + 2
LATER_JOBS = 2
"""Given once a cheat that needs preparation has had it."""
ANCHOR_SECONDS = 0.3
ANCHOR_PATIENCE = 2.0
"""Real seconds in which an honest node surely anchors."""
POLL_SECONDS = 0.05
PAST_ALL_PROMISES = int(SETTINGS["promise_seconds"]) + LATENESS_MS // 1000 + 5
MAX_TOKENS = 8


async def try_one(cheat: LedgerCheat | None, world: World, clock: MovableClock, folder: Path) -> Result:
    """Give a node work, let its promises fall due, look for what is wrong with it and have it slashed for that."""
    settings = {"anchor_seconds": ANCHOR_SECONDS}
    cheats = {0: cheat} if cheat else {}
    async with open_devnet(
        folder, world=lambda _: _lent(world), cheats=cheats, settings=settings, clock=clock
    ) as devnet:
        trial = Trial(cheat.kind if cheat else HONEST, devnet, devnet.nodes[0], clock)
        return await trial.run()


@asynccontextmanager
async def _lent(world: World) -> AsyncIterator[World]:
    """A world that goes on when the devnet on it has ended."""
    yield world


@dataclass
class Trial:
    """The work, the waiting and the looking."""

    kind: str
    devnet: Devnet
    node: DevnetNode
    clock: MovableClock

    async def run(self) -> Result:
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(self.devnet.client()) for _ in range(CLIENTS)]
            transport = self.devnet.transport()
            await stack.enter_async_context(transport.run())
            log = LogReader(transport, self.node.peer, self.devnet.ledger.domain)
            receipts = await self._give(clients, FIRST_JOBS)
            await self._until_anchored(log)
            if await self._is_stopped():
                return Result(self.kind, STOPPED, str(self.node.stop.error))
            receipts += await self._give(clients, LATER_JOBS)
            await self._until_anchored(log)
            self.clock.let_pass(PAST_ALL_PROMISES)
            await self.devnet.world.mine()
            await self._until_anchored(log)
            suspect = Suspect(self.node.address, self.devnet.ledger.domain)
            return await self._judge(Detective(suspect, self.node.peer, transport, self.devnet.ledger, receipts))

    async def _give(self, clients: Sequence[AsyncClient], jobs: int) -> list[SignedReceipt]:
        """Jobs one after the other, each from the next client; returns their receipts."""
        answers = [
            await clients[number % CLIENTS].ask(
                "fake", f"Question {number}?", max_tokens=MAX_TOKENS, node=self.node.address
            )
            for number in range(jobs)
        ]
        return [answer.signed_receipt for answer in answers]

    async def _until_anchored(self, log: LogReader) -> None:
        """Wait until the contract has all that the node says it has, for ANCHOR_PATIENCE."""
        with trio.move_on_after(ANCHOR_PATIENCE):
            size = (await log.checkpoint()).checkpoint.size
            while (await self.devnet.ledger.head(self.node.address)).size < size:
                await trio.sleep(POLL_SECONDS)

    async def _is_stopped(self) -> bool:
        """Wait until the cheat can do its worst, or is stopped by its own program."""
        if isinstance(self.node.node, CheatingNode):
            async with trio.open_nursery() as first:
                for event in (self.node.node.in_position, self.node.stop.happened.wait):
                    first.start_soon(_then_cancel, event, first.cancel_scope)
        return self.node.stop.error is not None

    async def _judge(self, detective: Detective) -> Result:
        finding = await detective.look()
        if finding is None:
            return Result(self.kind)
        slashing = await convict(self.node.address, finding, self.devnet.world, self.clock)
        if slashing is None:
            return Result(self.kind, finding.name, finding.words)
        gone = await self.devnet.ledger.node(self.node.address) is None
        return Result(self.kind, finding.name, finding.words, gone, slashing.gas)


async def _then_cancel(wait: Callable[[], Awaitable[None]], scope: trio.CancelScope) -> None:
    await wait()
    scope.cancel()
