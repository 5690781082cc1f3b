"""(6) Trying evidence before anything is paid: by the rules here, then by the contract itself without sending.

A proof that leads to an older anchored head than the present one is renewed from the node's log first.
"""

from dataclasses import dataclass, replace

from tallynet.audit.anchoring import Chain
from tallynet.audit.evidence import STALE, Suspect, describe_fault, renew
from tallynet.ledger.ledger import Slashing
from tallynet.protocol.errors import Deferred, Invalid, InvalidEvidence, NodeUnreachable, Refused
from tallynet.protocol.fault import KINDS, Fault, FaultKind, NotAPrefix, WrongLeaf, check_fault
from tallynet.protocol.keys import Key
from tallynet.protocol.units import Address, prefixed

NOBODY = Address(bytes(20))
"""Who asks, in a dry run without a key."""

REMEDIES = {
    "node is not registered": "Nothing can be taken from it: its stake was withdrawn, or taken before.",
    "receipt is not late": "Try again once the promised time has passed; what was anchored in time stays so.",
    "checkpoint is larger than the head": "Keep the evidence, and try again once the node has anchored that much.",
}
"""What to do about a refusal, by the contract's words."""
REMEDY = "Do not send it: the contract would refuse it, and the gas would be lost."


@dataclass(frozen=True, slots=True)
class Trial:
    """What became, or would become, of one fault."""

    fault: Fault
    """Renewed, if it was."""
    kind: FaultKind
    renewed: bool
    refusal: str
    """Why the contract refuses it, in its words; empty when it does not."""
    detail: str
    """The same at length."""
    slashing: Slashing | None
    """What the reporter gets, what is burnt, and the gas."""
    sent: bool

    @property
    def verdict(self) -> str:
        """`slashed`, `guilty` where nothing was sent, or `refused`."""
        if self.slashing is None:
            return "refused"
        return "slashed" if self.sent else "guilty"

    @property
    def remedy(self) -> str:
        if self.refusal in STALE:
            return f"Ask for the entry in public: tallynet audit challenge {prefixed(self.fault.node)} {self._entry}."
        return REMEDIES.get(self.refusal, REMEDY)

    @property
    def _entry(self) -> int:
        """The entry that a proof to the present head would show."""
        if isinstance(self.fault, WrongLeaf):
            return self.fault.promise.receipt.index
        return self.fault.checkpoint.checkpoint.size - 1 if isinstance(self.fault, NotAPrefix) else 0


async def try_fault(fault: Fault, chain: Chain, reporter: Address = NOBODY) -> Trial:
    """What the contract would do. Raises `ChainUnreachable`."""
    suspect = Suspect(fault.node, chain.ledger.domain)
    witness = await chain.ledger.witness(fault.node)
    trial = Trial(fault, KINDS[type(fault)], False, "", "", None, False)
    try:
        check_fault(fault, suspect.domain, witness)
    except InvalidEvidence as error:
        if error.reason not in STALE:
            return replace(trial, refusal=error.reason, detail=error.message)
        try:
            fresh = await renew(suspect, fault, await chain.find_log(fault.node), witness)
        except (Invalid, Refused, Deferred, NodeUnreachable) as why:
            return replace(trial, refusal=error.reason, detail=f"The node does not renew the proof: {why.message}")
        if fresh is None:
            return replace(trial, refusal=error.reason, detail=error.message)
        trial = replace(trial, fault=fresh, renewed=True)
    try:
        return replace(trial, slashing=await chain.ledger.try_slash(reporter, trial.fault))
    except Refused as error:
        return replace(trial, refusal=error.reason.removeprefix("ledger: ") or error.message)


async def send_fault(trial: Trial, chain: Chain, reporter: Key) -> Trial:
    """Have the node slashed. Raises `Refused` when the contract has changed its mind since the trial."""
    return replace(trial, slashing=await chain.ledger.slash(reporter, trial.fault), sent=True)


def describe_trial(trial: Trial) -> dict[str, object]:
    """The JSON object of `tallynet audit slash`."""
    slashing = trial.slashing
    return {
        "verdict": trial.verdict,
        "kind": trial.kind.name.lower(),
        "node": prefixed(trial.fault.node),
        "says": describe_fault(trial.fault),
        "reason": trial.refusal,
        "renewed": trial.renewed,
        "sent": trial.sent,
        "reward": slashing.reward if slashing else None,
        "burnt": slashing.burnt if slashing else None,
        "gas": slashing.gas if slashing else None,
        "block": slashing.block if slashing and trial.sent else None,
        "transaction": prefixed(slashing.transaction) if slashing and trial.sent else None,
    }
