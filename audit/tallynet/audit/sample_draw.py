"""(6) What there is to sample: an anchored log, the block that drew from it, and its entries, each proven.

Only the entries that were drawn are read, each with the node's path to the anchored root.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tallynet.audit.anchoring import first_covering, read_anchors
from tallynet.audit.log_walk import WITHHELD
from tallynet.ledger.ledger import Anchor, Ledger
from tallynet.network.log_reader import LogReader
from tallynet.protocol import merkle
from tallynet.protocol.draw import Draw, drawing_block
from tallynet.protocol.errors import Busy, ChainUnreachable, Invalid, InvalidProof, Misconfigured, Pending, Refused
from tallynet.protocol.leaf import Leaf
from tallynet.protocol.merkle import leaf_hash
from tallynet.protocol.opening import MIN_KEPT_SECONDS
from tallynet.protocol.tiles import TILE_WIDTH
from tallynet.protocol.units import Address, Digest, Seconds, prefixed

RETRY_MS = 5000


@dataclass(frozen=True, slots=True)
class DrawnLog:
    """One anchor of a node, and what its block drew."""

    anchor: Anchor
    block: int
    """Number of the block that drew."""
    draw: Draw
    anchors: Sequence[Anchor]
    """All of the node's, oldest first."""

    def kept_until(self, index: int) -> Seconds:
        """Until when the node must keep what opens entry `index`, at least."""
        first = first_covering(self.anchors, index)
        assert first is not None
        return Seconds(first.time + MIN_KEPT_SECONDS)


async def find_drawn(ledger: Ledger, node: Address, size: int | None = None) -> DrawnLog:
    """The newest confirmed anchor whose block has drawn, or the anchor of `size` entries.

    Raises `Pending` when there is none yet, `Misconfigured` for a size that was never anchored, `ChainUnreachable`.
    """
    anchors, latest = await read_anchors(ledger, node), await ledger.block_number()
    wanted = [anchor for anchor in anchors if size in (None, anchor.size)]
    if size is not None and not wanted:
        sizes = ", ".join(str(anchor.size) for anchor in anchors[-5:]) or "none"
        raise Misconfigured(f"The node never anchored {size} entries; the newest sizes: {sizes}.")
    drawn = [anchor for anchor in wanted if anchor.confirmed and drawing_block(anchor.block) <= latest]
    if not drawn:
        raise Pending(
            f"No block has drawn from a log of node {prefixed(node)} yet: the chain is at block {latest}, "
            + (f"{drawing_block(wanted[0].block)} draws." if wanted else "and the node has anchored nothing."),
            retry_after_ms=RETRY_MS,
        )
    number = drawing_block(drawn[-1].block)
    block_hash = await ledger.block_hash(number)
    if block_hash is None:
        raise ChainUnreachable(f"the chain is at block {latest} and does not give block {number}.")
    return DrawnLog(drawn[-1], number, Draw(node, drawn[-1].size, block_hash), anchors)


class AnchoredEntries:
    """The entries of an anchored log, as its node shows them."""

    def __init__(self, reader: LogReader, anchor: Anchor) -> None:
        self._reader = reader
        self._anchor = anchor
        self._bundles: dict[int, Sequence[bytes]] = {}

    async def entry(self, index: int) -> Leaf:
        """Entry `index` of the anchored log. Raises `InvalidProof` when it is not shown, `NodeUnreachable`."""
        # (1) the node shows the entry, and the path from it to the anchored root
        try:
            data = (await self._bundle(index // TILE_WIDTH))[index % TILE_WIDTH]
            path = await self._reader.inclusion(index, self._anchor.size)
            leaf = Leaf.unpack(data)
        except (Invalid, Refused, Busy) as error:
            raise InvalidProof(
                f"entry {index} of {self._anchor.size} is not shown: {error.message}", check=1, remedy=WITHHELD
            ) from error
        self._check(index, leaf, path)
        return leaf

    def _check(self, index: int, leaf: Leaf, path: Sequence[Digest]) -> None:
        # (2) the entry is under the anchored root
        try:
            merkle.verify_inclusion(leaf_hash(leaf.pack()), index, self._anchor.size, path, self._anchor.root)
        except InvalidProof as error:
            raise InvalidProof(
                f"what is shown as entry {index} is not under the anchored root of {self._anchor.size} entries: "
                f"{error.message}",
                check=2,
                evidence=error.evidence,
                remedy=WITHHELD,
            ) from error

    async def _bundle(self, number: int) -> Sequence[bytes]:
        if number not in self._bundles:
            width = min(TILE_WIDTH, self._anchor.size - number * TILE_WIDTH)
            self._bundles[number] = await self._reader.entry_bundle(number, width)
        return self._bundles[number]
