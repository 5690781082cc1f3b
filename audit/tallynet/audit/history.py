"""(6) A node's whole log, re-read: each entry by itself, and all of them against the chain.

Checks (5) to (9) of spec chapter 6, "A whole log". Since the roots at all anchored sizes are computed from one
sequence of entries, each anchored log is the beginning of the next: no consistency proof is needed besides.
Remembers the id and the index of every job: about 150 MB for a million entries.
"""

from collections.abc import Iterator, Sequence
from itertools import islice

from tallynet.ledger.ledger import Anchor
from tallynet.protocol import merkle
from tallynet.protocol.errors import InvalidCheckpoint, InvalidReceipt, InvalidSignature
from tallynet.protocol.keys import check_signed_by
from tallynet.protocol.leaf import Leaf
from tallynet.protocol.merkle_tree import Frontier
from tallynet.protocol.units import Digest, JobId

CONVICTED = "Use another node; what it signed and what it shows are together the evidence against it."
"""What to do about a log that contradicts itself or the chain."""


class History:
    """Grows page by page; every method raises at the first thing that is wrong."""

    def __init__(self, anchors: Sequence[Anchor], begun: Frontier | None = None, jobs: Sequence[JobId] = ()) -> None:
        """`anchors` are all those of the node, each larger than the one before. An audit that goes on from an earlier
        one gives the frontier that it reached and the jobs of all entries before that, in their order."""
        self._anchors = anchors
        self._frontier = begun or Frontier.empty()
        self._places = {job: index for index, job in enumerate(jobs)}
        self.entries_checked = self._frontier.size
        self.anchors_checked = sum(anchor.size <= self._frontier.size for anchor in anchors)

    @property
    def root(self) -> Digest:
        """Root of the entries checked."""
        return self._frontier.root()

    @property
    def frontier(self) -> Frontier:
        return self._frontier

    def jobs(self, count: int) -> Iterator[JobId]:
        """The jobs of the first `count` entries, in their order."""
        return islice(self._places, count)

    def extend(self, entries: Sequence[bytes]) -> list[Digest]:
        """Check the next entries and, at each anchored size, the root. Returns the hashes of the entries.

        Raises `InvalidReceipt` for a bad entry, `InvalidCheckpoint` for a root other than the chain's.
        """
        hashes: list[Digest] = []
        while len(hashes) < len(entries):
            count = min(self._to_next_anchor(), len(entries) - len(hashes))
            page = [self._check_entry(data) for data in entries[len(hashes) : len(hashes) + count]]
            self._frontier = self._frontier.extend(page)
            hashes += page
            self._check_root()
        return hashes

    def _to_next_anchor(self) -> int:
        """Entries until the next anchored size."""
        if self.anchors_checked == len(self._anchors):
            return merkle.MAX_SIZE
        return self._anchors[self.anchors_checked].size - self._frontier.size

    def _check_entry(self, data: bytes) -> Digest:
        index = self.entries_checked
        # (5) the entry is a leaf of known form
        try:
            leaf = Leaf.unpack(data)
        except InvalidReceipt as error:
            raise InvalidReceipt(
                f"entry {index} is no leaf: {error.message}",
                check=5,
                evidence={"index": index, "entry": data},
                remedy=CONVICTED,
            ) from error
        first = self._places.setdefault(leaf.job, index)
        # (6) no job stands in the log twice
        if first != index:
            raise InvalidReceipt(
                f"job {leaf.job.hex()} stands in the log twice, as entry {first} and as entry {index}",
                check=6,
                evidence={"job": leaf.job, "entries": (first, index)},
                remedy=CONVICTED,
            )
        # (7) the client signed the job that the leaf tells of
        try:
            check_signed_by(Digest(leaf.job), leaf.client_signature, leaf.client)
        except InvalidSignature as error:
            raise InvalidReceipt(
                f"entry {index}, job {leaf.job.hex()}, was not asked for by its client: {error.message}",
                check=7,
                evidence={"index": index, "entry": data},
                remedy=CONVICTED,
            ) from error
        # (8) the run did not end before it began
        if leaf.ended < leaf.started:
            raise InvalidReceipt(
                f"entry {index} ended at {leaf.ended}, before it began at {leaf.started}",
                check=8,
                evidence={"index": index, "entry": data},
                remedy=CONVICTED,
            )
        self.entries_checked += 1
        return merkle.leaf_hash(data)

    def _check_root(self) -> None:
        if self._to_next_anchor() > 0:
            return
        anchor = self._anchors[self.anchors_checked]
        # (9) the first `size` entries have the root that the node anchored
        if self.root != anchor.root:
            raise InvalidCheckpoint(
                f"the first {anchor.size} entries have root {self.root.hex()}, the node anchored "
                f"{anchor.root.hex()} in block {anchor.block}",
                check=9,
                evidence={"anchor": anchor, "computed": self.root},
                remedy=CONVICTED,
            )
        self.anchors_checked += 1
