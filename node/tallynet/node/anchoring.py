"""(5) Anchoring: the log's head goes to the contract, by age or by count, before the promise runs out."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import trio

from tallynet.ledger import Head, Ledger
from tallynet.node.journal import Journal
from tallynet.node.metrics import Metrics
from tallynet.protocol.errors import ChainUnreachable, InvalidCheckpoint, Misconfigured, Refused
from tallynet.protocol.keys import Key
from tallynet.protocol.units import Milliseconds

log = logging.getLogger(__name__)

POLL_SECONDS = 0.2
LOOK_SECONDS = 15.0
"""How often the contract is asked what it really knows."""
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0


@dataclass
class Anchoring:
    """Keeps the contract's head close behind the log's."""

    key: Key
    ledger: Ledger
    journal: Journal
    metrics: Metrics
    clock: Callable[[], Milliseconds]
    anchor_seconds: float
    anchor_count: int
    anchored: int = 0
    """Size of the head that the contract knows, as far as we know."""
    last_error: str = ""

    async def check_start(self) -> Head:
        """Refuse to run on a log that is older or other than what the contract has seen of it.

        Raises `Misconfigured`: a restored backup would sign a second history and lose the stake.
        """
        head = await self.ledger.head(self.key.address)
        if head.size > self.journal.size:
            raise Misconfigured(
                f"The contract knows {head.size} entries of this node's log, the log here has {self.journal.size}.",
                remedy="Never start a node on an old backup: restore the newest log, or make a new node.",
            )
        if head.size and self.journal.tree.root(head.size) != head.root:
            raise Misconfigured(
                f"The contract's root of the first {head.size} entries is {head.root.hex()}, the log's here is "
                f"{self.journal.tree.root(head.size).hex()}.",
                remedy="This data folder is not this node's log: find the right one.",
            )
        self.anchored = head.size
        self.metrics.anchored_size.set(head.size)
        return head

    async def run(self) -> None:
        """Anchor until cancelled. What is anchored is looked after too: a reorganisation may take an anchor away."""
        since, idle = trio.current_time(), True
        looked = since
        while True:
            await trio.sleep(POLL_SECONDS)
            if trio.current_time() - looked >= LOOK_SECONDS:
                await self.look()
                looked = trio.current_time()
            waiting = self.journal.size - self.anchored
            if idle and waiting:
                since, idle = trio.current_time(), False  # the age is that of the first entry
            if waiting >= self.anchor_count or trio.current_time() - since >= self.anchor_seconds:
                await self.anchor_with_patience()
                since, idle = trio.current_time(), True

    async def anchor_with_patience(self) -> None:
        """Anchor the head, again and again until the chain takes it."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                await self.anchor()
                self.last_error = ""
                return
            except (ChainUnreachable, Refused) as error:
                self.metrics.anchor_failures.inc()
                self.last_error = str(error)
                log.warning("the anchor failed, next try in %g s: %s", pause, error)
                await trio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def look(self) -> None:
        """See whether the contract knows more of this log than we do; a chain that does not answer says nothing.

        Raises `InvalidCheckpoint` like `anchor`.
        """
        try:
            self._check_ours(await self.ledger.head(self.key.address))
        except (ChainUnreachable, Refused) as error:
            log.info("the contract's head is not known now: %s", error)

    async def anchor(self) -> None:
        """Post the present head once. Raises `ChainUnreachable` or `Refused`, `InvalidCheckpoint` when the contract
        has seen another history, and `Misconfigured` when the log on the disk is no longer ours alone."""
        head = await self.ledger.head(self.key.address)
        self._check_ours(head)
        self.journal.check_head()
        size = self.journal.size
        if head.size < size:
            proof = self.journal.tree.consistency(head.size, size) if head.size else []
            anchor = await self.ledger.anchor(self.key, size, self.journal.tree.root(size), proof)
            self.metrics.anchor_gas.inc(anchor.gas)
            log.info("anchored %d entries in block %d for %d gas", size, anchor.block, anchor.gas)
        self.anchored = size
        self.metrics.anchored_size.set(size)

    def _check_ours(self, head: Head) -> None:
        """Raises `InvalidCheckpoint`, and signs nothing from then on, when two nodes sign with one key."""
        size = self.journal.size
        if head.size > size or (head.size and self.journal.tree.root(head.size) != head.root):
            found = (
                f"the contract knows {head.size} entries of this log with root {head.root.hex()}, {size} are here and "
                "they do not begin so: another instance anchors"
            )
            self.journal.stop(Misconfigured(f"This node has stopped signing: {found}."))
            raise InvalidCheckpoint(found)
