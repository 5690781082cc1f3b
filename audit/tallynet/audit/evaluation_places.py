"""(6) The places of an evaluation's runs: each one's path to an anchored root, from the node's own log."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from tallynet.audit.anchoring import Chain, check_in_time, first_covering, read_anchors, reference
from tallynet.evaluation.questions import Question
from tallynet.evaluation.report_checks import NAMES, failing, passed
from tallynet.ledger.ledger import Anchor
from tallynet.network.log_reader import LogReader
from tallynet.protocol.bundle import Bundle, attach_anchor
from tallynet.protocol.bundle_checks import CheckResult, State
from tallynet.protocol.errors import NodeUnreachable
from tallynet.protocol.units import Address, prefixed

Placed = tuple[Question, Bundle]


async def check_places(runs: Sequence[Placed], chain: Chain) -> CheckResult:
    """Check (14). Skipped when a node is out of reach: its receipts then are all there is, and they are signed; pending
    while a run is not anchored yet. Raises `InvalidReport`, `ChainUnreachable`."""
    by_node = defaultdict[Address, list[Placed]](list)
    for question, bundle in runs:
        by_node[bundle.node].append((question, bundle))
    waiting = 0
    for node, placed in by_node.items():
        try:
            waiting += await _NodePlaces(chain, await chain.find_log(node), node).check(placed)
        except NodeUnreachable:
            return CheckResult(14, NAMES[14], State.SKIPPED, f"node {prefixed(node)[:10]}… is out of reach")
    if waiting:
        return CheckResult(14, NAMES[14], State.PENDING, f"{waiting} of {len(runs)} runs are not anchored yet")
    return passed(14, f"{len(runs)} runs in {len(by_node)} log{'s' * (len(by_node) > 1)}")


@dataclass
class _NodePlaces:
    """What one node shows of its log; each checkpoint is asked for once."""

    chain: Chain
    reader: LogReader
    node: Address
    notes: dict[int, str] = field(default_factory=dict)
    """By size."""

    async def check(self, placed: Sequence[Placed]) -> int:
        """How many of these runs no anchor covers yet."""
        anchors, waiting = await read_anchors(self.chain.ledger, self.node), 0
        now = await self.chain.ledger.now()
        for question, bundle in placed:
            receipt = bundle.receipt.receipt
            anchor = first_covering(anchors, receipt.index)
            # (14) every run is in the anchored log of its node, and the first anchor that covers it came in time
            with failing(14, question.name):
                if anchor is not None:
                    await self._attach(bundle, anchor)
                if anchor is not None or now > receipt.anchor_by:
                    check_in_time(anchors, bundle)
            waiting += anchor is None
        return waiting

    async def _attach(self, bundle: Bundle, anchor: Anchor) -> None:
        """Raises `InvalidProof` or `InvalidCheckpoint` for a path or signature that does not hold."""
        if anchor.size not in self.notes:
            self.notes[anchor.size] = await self.reader.checkpoint_note(anchor.size)
        path = await self.reader.inclusion(bundle.receipt.receipt.index, anchor.size)
        attach_anchor(bundle, reference(anchor), path, self.notes[anchor.size])
