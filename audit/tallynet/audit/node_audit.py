"""(6) Is this node's log whole? Checks (1) to (11) of spec chapter 6, "A whole log".

Anchors are read before the checkpoint: a log only grows, so an honest checkpoint can then never be behind them.
When the promised times were kept is not seen here: they stand in the receipts, and those are the clients'.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tallynet.audit.anchoring import read_anchors
from tallynet.audit.audit_state import AuditState, contradiction
from tallynet.audit.evidence import Suspect, find_not_a_prefix
from tallynet.audit.log_walk import LogWalk, Progress
from tallynet.ledger.ledger import Anchor, Ledger
from tallynet.network.log_reader import LogReader
from tallynet.network.transport import PeerAddress, Transport
from tallynet.protocol.errors import Invalid, InvalidCheckpoint, TallyError
from tallynet.protocol.fault import Fault
from tallynet.protocol.keys import address_of_peer
from tallynet.protocol.units import Address, Digest, prefixed

log = logging.getLogger(__name__)

Keep = Callable[[AuditState], None]
"""Hears, now and then and at the end, from where an audit could go on."""


class NodeVerdict(StrEnum):
    PASS = "PASS"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class NodeAudit:
    """What was found."""

    node: Address
    verdict: NodeVerdict
    entries_checked: int
    """Those of an earlier audit, from which this one went on, included."""
    anchors_checked: int
    size: int
    """Entries in the log by its signed checkpoint; 0 when there was none to be had."""
    root: Digest | None
    unanchored: int
    """Entries that no anchor covers yet."""
    failure: Invalid | None
    """The first thing that is wrong, with its number, both values and the evidence."""
    seconds: float
    cpu_seconds: float
    """Of this process, whatever else it did meanwhile."""
    resumed_from: int
    """Entries that an earlier audit had checked."""
    discarded: str
    """Why an earlier state was not used; empty when it was, or when there was none."""
    fault: Fault | None
    """What the contract would slash for, where the failure proves it."""

    @property
    def reason(self) -> str:
        """What is wrong, with the number of the check; empty for a log that passed."""
        return "" if self.failure is None else str(self.failure)


async def audit_node(
    transport: Transport,
    ledger: Ledger,
    node: Address,
    peer: PeerAddress,
    *,
    progress: Progress | None = None,
    begun: AuditState | None = None,
    keep: Keep | None = None,
) -> NodeAudit:
    """Re-read the log of `node`, served by `peer`, and compare it with the chain.

    From entry 0, or from where the state `begun` stands if that fits the chain. `keep` hears the state that another
    audit could go on from, also when this one is cancelled. What is wrong with the log is in the result. Raises
    `Unreachable` when chain or node do not answer, `Busy` when the node asks for patience: that proves nothing
    against anybody.
    """
    wall, cpu = time.monotonic(), time.process_time()
    suspect, anchors = Suspect(node, ledger.domain), await read_anchors(ledger, node)
    discarded = contradiction(begun, ledger.domain, node, anchors) if begun else ""
    walk = LogWalk(suspect, anchors, None if discarded else begun, progress)
    reader = LogReader(transport, peer, ledger.domain)
    failure, fault = None, None
    try:
        await _check_known(ledger, node, anchors)
        await walk.read(reader, address_of_peer(peer.peer), lambda: _tell(walk, keep))
    except Invalid as error:
        failure, fault = error, await _find_fault(walk, suspect, reader, ledger)
    finally:
        _tell(walk, keep)
    checkpoint = walk.signed.checkpoint if walk.signed else None
    size = checkpoint.size if checkpoint else 0
    return NodeAudit(
        node=node,
        verdict=NodeVerdict.FAIL if failure else NodeVerdict.PASS,
        entries_checked=walk.history.entries_checked,
        anchors_checked=walk.history.anchors_checked,
        size=size,
        root=checkpoint.root if checkpoint else None,
        unanchored=max(0, size - (anchors[-1].size if anchors else 0)),
        failure=failure,
        seconds=time.monotonic() - wall,
        cpu_seconds=time.process_time() - cpu,
        resumed_from=walk.begun,
        discarded=discarded,
        fault=fault,
    )


async def _check_known(ledger: Ledger, node: Address, anchors: Sequence[Anchor]) -> None:
    # (1) the contract knows the node: it is registered, or was and has anchored
    if not anchors and await ledger.node(node) is None:
        raise InvalidCheckpoint(
            f"the contract knows no node {prefixed(node)}", check=1, remedy="Check the address and the network file."
        )


async def _find_fault(walk: LogWalk, suspect: Suspect, reader: LogReader, ledger: Ledger) -> Fault | None:
    """Whether the checkpoint that the node showed convicts it."""
    if walk.signed is None:
        return None
    try:
        return await find_not_a_prefix(suspect, walk.signed, reader, await ledger.witness(suspect.node))
    except TallyError as error:
        log.info("the checkpoint of node %s is no evidence so far: %s", prefixed(suspect.node), error)
        return None


def _tell(walk: LogWalk, keep: Keep | None) -> None:
    if keep is not None and (state := walk.state()).size > walk.begun:
        keep(state)
