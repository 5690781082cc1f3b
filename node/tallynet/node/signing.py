"""The signatures that can cost the stake, and what guards them: none is made before the log's head row is looked at.

A node that signs on an old copy of its log, or beside another instance of itself, contradicts itself and is slashed.
Source: spec chapter 5, "One head".
"""

from tallynet.node.journal import Journal
from tallynet.protocol.checkpoint import Checkpoint, SignedCheckpoint, sign_checkpoint
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.keys import Key
from tallynet.protocol.leaf import Leaf
from tallynet.protocol.receipt import SignedReceipt, sign_receipt
from tallynet.protocol.units import Seconds


def promise(journal: Journal, leaf: Leaf, index: int, anchor_by: Seconds, domain: Domain, key: Key) -> SignedReceipt:
    """Sign a receipt for an entry that is durable. Raises `Misconfigured` when the log is no longer ours alone."""
    journal.check_head()
    return sign_receipt(leaf, index, anchor_by, domain, key)


def state_head(journal: Journal, domain: Domain, key: Key, size: int | None = None) -> SignedCheckpoint:
    """Sign the newest head, or that of the first `size` entries, 0 ≤ size ≤ the log's.

    Raises `Misconfigured` when the log is no longer ours alone.
    """
    journal.check_head()
    size = journal.size if size is None else size
    return sign_checkpoint(Checkpoint(size, journal.tree.root(size)), domain, key)
