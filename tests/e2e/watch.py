"""Somebody who follows a node's log from outside and forgets nothing of it."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from tallynet.network.log_reader import LogReader
from tallynet.protocol.leaf import Leaf
from tallynet.protocol.merkle import Tree
from tallynet.protocol.receipt import VerifiedReceipt
from tallynet.protocol.units import JobId
from tallynet.protocol.wire import MAX_ENTRIES


@dataclass
class Watch:
    """All entries seen so far. They are kept over the node's deaths, so a log that changes its past is found out."""

    reader: LogReader
    tree: Tree = field(default_factory=Tree)
    index_of: dict[JobId, int] = field(default_factory=dict)

    async def look(self, receipts: Iterable[VerifiedReceipt]) -> None:
        """Read what is new, and find all of `receipts` where they say that they are. AssertionError when not."""
        receipts = list(receipts)  # those that are held now: more arrive while we read
        head = (await self.reader.checkpoint()).checkpoint
        assert head.size >= self.tree.size, f"the log had {self.tree.size} entries, now it has {head.size}"
        while self.tree.size < head.size:
            for packed in await self.reader.entries(self.tree.size, min(MAX_ENTRIES, head.size - self.tree.size)):
                self._enter(Leaf.unpack(packed))
        assert self.tree.root() == head.root, "entries that were seen before have changed"
        self._find(receipts)

    def _enter(self, leaf: Leaf) -> None:
        index = self.tree.append(leaf.hash)
        first = self.index_of.setdefault(leaf.job, index)
        assert first == index, f"job {leaf.job.hex()} is in the log at {first} and at {index}"

    def _find(self, receipts: Iterable[VerifiedReceipt]) -> None:
        by_index: dict[int, VerifiedReceipt] = {}
        for receipt in receipts:
            index = receipt.receipt.index
            other = by_index.setdefault(index, receipt)
            assert other is receipt, f"two receipts for index {index}"
            assert index < self.tree.size, f"a client holds a receipt for entry {index} of {self.tree.size}"
            assert self.tree.leaf(index) == receipt.receipt.leaf, f"entry {index} is not that of its receipt"
            assert self.index_of[receipt.leaf.job] == index
