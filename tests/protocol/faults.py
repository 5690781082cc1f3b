"""One valid example of each fault, for any node on any contract: start from it and break one thing."""

from dataclasses import dataclass

from tallynet.protocol.checkpoint import Checkpoint, SignedCheckpoint, sign_checkpoint
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.fault import (
    AnchoredAt,
    Fault,
    FaultKind,
    Fork,
    LateAnchor,
    NotAPrefix,
    SignedPromise,
    TwoPromises,
    Witness,
    WrongLeaf,
)
from tallynet.protocol.keys import Key
from tallynet.protocol.leaf import LEAF_BYTES
from tallynet.protocol.merkle import leaf_hash
from tallynet.protocol.merkle_tree import Tree
from tallynet.protocol.receipt import Receipt
from tallynet.protocol.units import Address, Digest, JobId, Seconds
from tests.protocol.examples import digest

ENTRIES = [digest(f"entry {number}") * (LEAF_BYTES // 32) for number in range(24)]
LOG = Tree(leaf_hash(entry) for entry in ENTRIES)
"""What the node anchors."""
FORKED = Tree(leaf_hash(entry + b"another past") for entry in ENTRIES)
"""What it says at another time."""
SIZE = 20
"""Of the anchored head."""
FIRST_SIZE = 8
"""Of the anchor before it, the node's first."""


@dataclass(frozen=True)
class Signer:
    """A node that says things on one contract."""

    key: Key
    domain: Domain

    def promise(self, index: int, leaf: Digest, anchor_by: int, job: str = "a job") -> SignedPromise:
        receipt = Receipt(leaf, index, Seconds(anchor_by), JobId(digest(job)))
        return SignedPromise(receipt, self.key.sign(receipt.digest(self.domain)))

    def checkpoint(self, size: int, root: Digest) -> SignedCheckpoint:
        return sign_checkpoint(Checkpoint(size, root), self.domain, self.key)

    def never_anchored(self, due: int) -> LateAnchor:
        """An entry above the head, anchored by nobody at `due`."""
        return LateAnchor(node=self.key.address, promise=self.promise(SIZE, LOG.leaf(SIZE), due))

    def anchored_late(self, due: int) -> LateAnchor:
        """An entry that only the second anchor covered."""
        return LateAnchor(node=self.key.address, promise=self.promise(FIRST_SIZE, LOG.leaf(FIRST_SIZE), due))

    def wrong_leaf(self, due: int) -> WrongLeaf:
        promise = self.promise(5, FORKED.leaf(5), due)
        return WrongLeaf(
            node=self.key.address, promise=promise, leaf_hash=LOG.leaf(5), path=tuple(LOG.inclusion(5, SIZE))
        )

    def one_index_twice(self, due: int) -> TwoPromises:
        first, second = self.promise(5, LOG.leaf(5), due), self.promise(5, FORKED.leaf(5), due, "another job")
        return TwoPromises(node=self.key.address, first=first, second=second)

    def one_job_twice(self, due: int) -> TwoPromises:
        first, second = self.promise(5, LOG.leaf(5), due), self.promise(6, LOG.leaf(5), due)
        return TwoPromises(node=self.key.address, first=first, second=second)

    def fork(self) -> Fork:
        first, second = (self.checkpoint(11, log.root(11)) for log in (LOG, FORKED))
        return Fork(node=self.key.address, first=first, second=second)

    def not_a_prefix(self) -> NotAPrefix:
        path = tuple(LOG.consistency(11, SIZE))
        checkpoint = self.checkpoint(11, FORKED.root(11))
        return NotAPrefix(node=self.key.address, checkpoint=checkpoint, true_root=LOG.root(11), path=path)

    def not_the_head(self) -> NotAPrefix:
        checkpoint = self.checkpoint(SIZE, FORKED.root(SIZE))
        return NotAPrefix(node=self.key.address, checkpoint=checkpoint, true_root=LOG.root(SIZE), path=())

    def faults(self, covered: int, now: int) -> dict[str, tuple[FaultKind, Fault]]:
        """Every fault by a name, where the head was anchored at `covered` and it is `now`."""
        return {
            "never anchored": (FaultKind.LATE, self.never_anchored(now - 1)),
            "anchored late": (FaultKind.LATE, self.anchored_late(covered - 1)),
            "another leaf": (FaultKind.LEAF, self.wrong_leaf(now)),
            "one index twice": (FaultKind.PAIR, self.one_index_twice(now)),
            "one job twice": (FaultKind.PAIR, self.one_job_twice(now)),
            "two roots of one size": (FaultKind.FORK, self.fork()),
            "another beginning": (FaultKind.PREFIX, self.not_a_prefix()),
            "another head": (FaultKind.PREFIX, self.not_the_head()),
        }


NAMES = list(Signer(Key(digest("anybody")), Domain(1, Address(bytes(20)))).faults(1, 2))


def witness(covered: int, now: int) -> Witness:
    """A node that anchored twice, the second time at `covered`."""
    ring = (AnchoredAt(FIRST_SIZE, Seconds(covered - 100)), AnchoredAt(SIZE, Seconds(covered)))
    return Witness(SIZE, LOG.root(SIZE), Seconds(now), ring, complete=True)
