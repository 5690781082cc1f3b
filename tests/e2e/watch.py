"""Somebody who follows a node's log from outside, hears all that it signs, and forgets nothing of it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import trio

from tallynet.network.log_reader import LogReader
from tallynet.protocol.errors import NodeUnreachable
from tallynet.protocol.leaf import Leaf
from tallynet.protocol.merkle_tree import Tree
from tallynet.protocol.receipt import Receipt, VerifiedReceipt
from tallynet.protocol.units import Digest, JobId
from tallynet.protocol.wire import MAX_ENTRIES

MOST_WORDS = 20
PATIENCE_SECONDS = 15.0
POLL_SECONDS = 0.1


@dataclass
class Wrong:
    """What must not happen, counted."""

    lost: int = 0
    """Receipts whose entry is not, or no longer, where they say."""
    double: int = 0
    """Places given twice, and jobs that have two."""
    contradictions: int = 0
    """Pairs of signatures that cannot both be true: heads, receipts, chunks."""
    words: list[str] = field(default_factory=list)
    """The first of each, for people."""

    def note(self, what: str, words: str) -> None:
        setattr(self, what, getattr(self, what) + 1)
        if len(self.words) < MOST_WORDS:
            self.words.append(words)

    @property
    def nothing(self) -> bool:
        return not (self.lost or self.double or self.contradictions)


@dataclass
class Watch:
    """All entries seen so far. They are kept over the node's deaths, so a log that changes its past is found out."""

    reader: LogReader
    wrong: Wrong = field(default_factory=Wrong)
    tree: Tree = field(default_factory=Tree)
    index_of: dict[JobId, int] = field(default_factory=dict)
    _roots: dict[int, Digest] = field(default_factory=dict)
    _promised: dict[int, Receipt] = field(default_factory=dict)
    _found: int = 0

    async def look(self, receipts: Sequence[VerifiedReceipt]) -> None:
        """Read what is new, and look for those of `receipts`, a list that grows, that are new in it.

        Raises `NodeUnreachable` when the node is not to be reached for PATIENCE_SECONDS: a line to its earlier life may
        still seem to stand.
        """
        held = len(receipts)  # more arrive while we read
        await self._patiently(self._read_on)
        for receipt in receipts[self._found : held]:
            self._find(receipt.receipt)
        self._found = held

    async def _patiently(self, read: Callable[[], Awaitable[None]]) -> None:
        until = trio.current_time() + PATIENCE_SECONDS
        while True:
            try:
                return await read()
            except NodeUnreachable:
                if trio.current_time() > until:
                    raise
                await trio.sleep(POLL_SECONDS)

    async def _read_on(self) -> None:
        head = (await self.reader.checkpoint()).checkpoint
        if self._roots.setdefault(head.size, head.root) != head.root:
            self.wrong.note("contradictions", f"two roots were signed for {head.size} entries")
        if head.size < self.tree.size:
            self.wrong.note("lost", f"the log had {self.tree.size} entries, now it has {head.size}")
            return
        while self.tree.size < head.size:
            for packed in await self.reader.entries(self.tree.size, min(MAX_ENTRIES, head.size - self.tree.size)):
                self._enter(Leaf.unpack(packed))
        if self.tree.root() != head.root:
            self.wrong.note("contradictions", f"entries among the first {head.size} have changed since they were seen")

    def _enter(self, leaf: Leaf) -> None:
        index = self.tree.append(leaf.hash)
        first = self.index_of.setdefault(leaf.job, index)
        if first != index:
            self.wrong.note("double", f"job {leaf.job.hex()} is in the log at {first} and at {index}")

    def _find(self, receipt: Receipt) -> None:
        index = receipt.index
        if self._promised.setdefault(index, receipt) is not receipt:
            self.wrong.note("double", f"two receipts promise index {index}")
        if index >= self.tree.size:
            self.wrong.note("lost", f"a client holds a receipt for entry {index} of {self.tree.size}")
        elif self.tree.leaf(index) != receipt.leaf or self.index_of.get(receipt.job) != index:
            self.wrong.note("lost", f"entry {index} is not that of its receipt")
