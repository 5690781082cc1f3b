"""What the demonstration has shown, and whether that is what it promised."""

import time
from dataclasses import dataclass, field

from tallynet.audit.node_audit import NodeAudit, NodeVerdict
from tallynet.client.answer import Answer
from tallynet.client.dispatch import Failure
from tallynet.devnet.tampering import Cheat
from tallynet.ledger.ledger import Anchor
from tallynet.protocol.bundle import Bundle
from tallynet.protocol.errors import Invalid
from tallynet.protocol.units import Address, prefixed


@dataclass
class Outcome:
    """Filled step by step. Nothing in it is assumed."""

    cheat: Cheat
    """The way in which one node was made to cheat."""
    cheater: Address
    began: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    answers: list[Answer] = field(default_factory=list)
    bundles: list[Bundle] = field(default_factory=list)
    """Of the answers, with their anchors."""
    receipts_verified: int = 0
    """Bundles in which every check held, receipt and anchor included."""
    anchors: list[Anchor] = field(default_factory=list)
    audits: list[NodeAudit] = field(default_factory=list)

    @property
    def caught(self) -> Failure | None:
        """The client's refusal of the cheat, by name and with the proof; None when nobody noticed."""
        failures = [failure for answer in self.answers for failure in answer.failures]
        return next((one for one in failures if one.node == self.cheater and isinstance(one.error, Invalid)), None)

    @property
    def entries_anchored(self) -> int:
        newest: dict[Address, int] = {}
        for anchor in self.anchors:
            newest[anchor.node] = max(newest.get(anchor.node, 0), anchor.size)
        return sum(newest.values())

    @property
    def gas_per_job(self) -> int:
        """Gas of all anchors, shared by all the runs under them."""
        return round(sum(anchor.gas for anchor in self.anchors) / max(1, self.entries_anchored))

    @property
    def entries_checked(self) -> int:
        return sum(audit.entries_checked for audit in self.audits)

    @property
    def audit_passed(self) -> bool:
        return bool(self.audits) and all(audit.verdict is NodeVerdict.PASS for audit in self.audits)

    @property
    def good(self) -> bool:
        """Every job done and proven, every log whole, the cheat caught."""
        proven = 0 < len(self.answers) == self.receipts_verified
        return proven and self.audit_passed and self.caught is not None

    def describe(self) -> dict[str, object]:
        """The JSON of `tallynet demo --json`."""
        caught = self.caught
        return {
            "jobs": len(self.answers),
            "receipts_verified": self.receipts_verified,
            "anchors": len(self.anchors),
            "gas_per_job": self.gas_per_job,
            "audit": {"verdict": "PASS" if self.audit_passed else "FAIL", "entries_checked": self.entries_checked},
            "cheat": {
                "kind": self.cheat.kind,
                "caught": caught is not None,
                "reason": str(caught.error) if caught else "",
                "node": prefixed(self.cheater),
            },
            "seconds": round(self.seconds, 2),
        }
