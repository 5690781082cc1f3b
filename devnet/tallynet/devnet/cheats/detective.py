"""Finding a cheat with what anybody has: receipts that clients hold, checkpoints shown to two who ask, log and chain.

Nothing here knows which node cheats, nor how. The tools are the auditor's (`tallynet.audit`), from the one that needs
the least to the one that reads everything.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tallynet.audit.evidence import (
    Suspect,
    describe_fault,
    find_fork,
    find_late,
    find_not_a_prefix,
    find_pair,
    find_wrong_leaf,
    promise_of,
)
from tallynet.audit.node_audit import NodeVerdict, audit_node
from tallynet.ledger.ledger import Ledger
from tallynet.network.log_reader import LogReader
from tallynet.network.transport import PeerAddress, Transport
from tallynet.protocol.checkpoint import SignedCheckpoint
from tallynet.protocol.errors import Invalid, Refused
from tallynet.protocol.fault import KINDS, Fault, FaultKind
from tallynet.protocol.receipt import SignedReceipt

WITHHELD = FaultKind.WITHHELD.name.lower()
OBSERVERS = 2
"""Who ask for the same checkpoint and compare."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a node."""

    name: str
    """Of the fault: late, leaf, pair, fork, prefix, withheld; log for one that no contract judges."""
    words: str
    fault: Fault | None = None
    """What one transaction proves."""
    withheld: int | None = None
    """The entry to ask for in public."""


@dataclass(frozen=True)
class Detective:
    """Looks at one node."""

    suspect: Suspect
    peer: PeerAddress
    transport: Transport
    """Running."""
    ledger: Ledger
    receipts: Sequence[SignedReceipt]
    """Of the clients."""

    async def look(self) -> Finding | None:
        """The first thing that is wrong, or None. Raises `Unreachable` when chain or node do not answer."""
        promises = [promise_of(receipt) for receipt in self.receipts]
        if fault := find_pair(self.suspect, promises) or await self._compare_checkpoints():
            return _finding(fault)
        return await self._follow_receipts() or await self._read_log()

    async def _compare_checkpoints(self) -> Fault | None:
        seen: list[SignedCheckpoint] = [await self._log.checkpoint() for _ in range(OBSERVERS)]
        if fault := find_fork(self.suspect, seen):
            return fault
        witness = await self.ledger.witness(self.suspect.node)
        for signed in seen:
            if not_a_prefix := await find_not_a_prefix(self.suspect, signed, self._log, witness):
                return not_a_prefix
        return None

    async def _follow_receipts(self) -> Finding | None:
        """Is everything anchored, in time, and where it was promised?"""
        witness = await self.ledger.witness(self.suspect.node)
        for receipt in self.receipts:
            promise = promise_of(receipt)
            if late := find_late(self.suspect, promise, witness):
                return _finding(late)
            try:
                wrong = await find_wrong_leaf(self.suspect, promise, self._log, witness)
            except (Refused, Invalid) as error:
                index = receipt.receipt.index
                return Finding(WITHHELD, f"Entry {index} is anchored and not shown: {error.message}.", withheld=index)
            if wrong:
                return _finding(wrong)
        return None

    async def _read_log(self) -> Finding | None:
        audit = await audit_node(self.transport, self.ledger, self.suspect.node, self.peer)
        if audit.verdict is NodeVerdict.PASS:
            return None
        return Finding("log", audit.reason)

    @property
    def _log(self) -> LogReader:
        return LogReader(self.transport, self.peer, self.suspect.domain)


def _finding(fault: Fault) -> Finding:
    return Finding(KINDS[type(fault)].name.lower(), describe_fault(fault), fault)
