"""Twenty clients' worth of questions to one node, all the time, whatever happens to the node."""

import itertools
import random
from dataclasses import dataclass, field

import trio

from tallynet.client import AsyncClient
from tallynet.protocol.errors import Busy, Refused, Unreachable
from tallynet.protocol.receipt import VerifiedReceipt
from tallynet.protocol.units import Address

JOBS_AT_ONCE = 20
TOKENS_PER_SECOND = 50
MAX_TOKENS = range(5, 41)
"""A job takes 0.1 to 0.8 s, and a chunk holds two or three tokens, as it happens."""
DEADLINE_SECONDS = 30.0


@dataclass
class Crowd:
    """JOBS_AT_ONCE tasks that ask one node, each its next question as soon as the last one has ended.

    What a client must never see makes the task, and so the test, fail: anything invalid from an honest node.
    """

    client: AsyncClient
    node: Address
    chance: random.Random
    receipts: list[VerifiedReceipt] = field(default_factory=list)
    """Every receipt that reached a client, verified, in the order of arrival."""
    jobs: int = 0
    """Asked so far."""
    lost: int = 0
    """Jobs that ended without a receipt, because the node was gone before their first words."""
    interrupted: int = 0
    """Jobs that the node was killed in, and that it would not run a second time."""
    recovered: int = 0
    """Jobs that began in one life of the node and got their receipt from a later one."""
    life: int = 0
    """How often the node has been started."""
    ended: trio.Event = field(default_factory=trio.Event)
    """Set once `close` has been called and every job has ended one way or the other."""
    _power: trio.Event = field(default_factory=trio.Event)
    _receipt: trio.Event = field(default_factory=trio.Event)
    _closed: bool = False

    async def run(self) -> None:
        """Ask until `close`."""
        async with trio.open_nursery() as nursery:
            for number in range(JOBS_AT_ONCE):
                nursery.start_soon(self._ask_on_and_on, number)
        self.ended.set()

    def power_on(self) -> None:
        """The node is ready, in a new life."""
        self.life += 1
        self._power.set()

    def power_off(self) -> None:
        """The node is gone; no new job is begun."""
        self._power = trio.Event()

    def close(self) -> None:
        self._closed = True

    async def next_receipt(self) -> None:
        """Wait until a client gets a receipt."""
        await self._receipt.wait()

    async def _ask_on_and_on(self, number: int) -> None:
        for turn in itertools.count():
            await self._power.wait()
            if self._closed:
                return
            await self._ask(f"Question {turn} of client {number}?")

    async def _ask(self, question: str) -> None:
        self.jobs += 1
        life, max_tokens = self.life, self.chance.choice(MAX_TOKENS)
        stream = self.client.stream(
            "paced", question, max_tokens=max_tokens, temperature=1.0, deadline_seconds=DEADLINE_SECONDS, node=self.node
        )
        try:
            async with stream:
                answer = await stream.finish()
        except Refused:
            self.interrupted += 1
            return
        except (Unreachable, Busy):
            self.lost += 1
            return
        self.recovered += self.life > life
        self.receipts.append(answer.receipt)
        self._receipt.set()
        self._receipt = trio.Event()
