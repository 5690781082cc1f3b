"""(5) Waiting until a run is on the chain: the anchor from the contract, the path from the node, checked here.

Nothing of it is believed: a path that leads to the anchored root can only come from the log that was anchored.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import trio

from tallynet.console.moments import moment
from tallynet.ledger.ledger import Anchor, Ledger
from tallynet.network.log_reader import LogReader
from tallynet.protocol.bundle import AnchorRef, Bundle, attach_anchor
from tallynet.protocol.errors import Busy, InvalidBundle, Pending, Refused, TallyError, Unreachable
from tallynet.protocol.receipt import Receipt
from tallynet.protocol.units import Address, prefixed

FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class AnchorWait:
    """Asks chain and node about one run at a time."""

    ledger: Ledger
    find_log: Callable[[Address], Awaitable[LogReader]]
    """Reaches a node's log. Raises `NoNodes`."""

    async def upgrade(self, bundle: Bundle, seconds: float) -> Bundle:
        """The bundle with its place under a confirmed anchor; asks again until `seconds` are over, once at least.

        Raises `Pending` while there is none, `InvalidBundle` (12) when the promised time is over, `InvalidProof`
        or `InvalidCheckpoint` for a path or signature that does not hold, and when the chain knows but the node
        does not tell: its own error.
        """
        until, pause = trio.current_time() + seconds, FIRST_PAUSE_SECONDS
        while True:
            try:
                return await self._look(bundle)
            except (Pending, Unreachable, Refused, Busy) as error:
                last: TallyError = error
            if trio.current_time() + pause > until:
                raise last
            await trio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _look(self, bundle: Bundle) -> Bundle:
        receipt = bundle.receipt.receipt
        if bundle.inclusion is not None:
            return bundle
        anchor = await self._anchor(bundle.node, receipt.index)
        if anchor is None:
            raise await self._not_yet(bundle, receipt)
        log = await self.find_log(bundle.node)
        path = await log.inclusion(receipt.index, anchor.size)
        checkpoint = await log.checkpoint_note(anchor.size)
        return attach_anchor(bundle, _reference(anchor), path, checkpoint)

    async def _anchor(self, node: Address, index: int) -> Anchor | None:
        """The oldest confirmed anchor that covers leaf `index`; the head is asked first, because that is cheap."""
        if (await self.ledger.head(node)).size <= index:
            return None
        return _covering(await self.ledger.anchors(node), index)

    async def _not_yet(self, bundle: Bundle, receipt: Receipt) -> TallyError:
        now = await self.ledger.now()
        promised = moment(receipt.anchor_by)
        # (12) as long as nothing covers the run, the promised time has not come
        if now > receipt.anchor_by and (await self.ledger.head(bundle.node)).size <= receipt.index:
            raise InvalidBundle(
                f"the promise is broken: node {prefixed(bundle.node)} signed that leaf {receipt.index} would be "
                f"anchored by {promised}, the chain is at {moment(now)} and no anchor covers it",
                check=12,
                evidence={"receipt": bundle.receipt, "promised": receipt.anchor_by, "now": now},
                remedy="Keep the bundle: its signed receipt is the evidence against the node.",
            )
        return Pending(
            f"Leaf {receipt.index} is not anchored yet; the node has promised it by {promised}.",
            retry_after_ms=1000 * max(1, receipt.anchor_by - now),
            remedy="Wait and try again.",
        )


def _covering(anchors: Sequence[Anchor], index: int) -> Anchor | None:
    return next((anchor for anchor in anchors if anchor.size > index and anchor.confirmed), None)


def _reference(anchor: Anchor) -> AnchorRef:
    return AnchorRef(anchor.size, anchor.root, anchor.time, anchor.block, anchor.block_hash, anchor.transaction)
