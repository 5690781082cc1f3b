"""(6) One look at one node: its new anchors, its checkpoint against all that it signed before, a few of its entries."""

import random
from collections.abc import MutableMapping, Sequence

from tallynet.audit.anchoring import Chain
from tallynet.audit.evidence import Suspect, describe_fault, fault_key, find_fork, find_not_a_prefix, proven_leaf
from tallynet.audit.findings import Finding, Weight
from tallynet.audit.watch_memory import NodeMemory
from tallynet.network.log_reader import LogReader
from tallynet.protocol import merkle
from tallynet.protocol.checkpoint import SignedCheckpoint
from tallynet.protocol.errors import Deferred, Invalid, NodeUnreachable, Refused
from tallynet.protocol.fault import Fault, Witness
from tallynet.protocol.units import Address, Seconds, prefixed

SAMPLES = 4
"""Entries asked for in one look, drawn from all that are anchored."""


class NodeWatch:
    """One node, now."""

    def __init__(
        self,
        suspect: Suspect,
        chain: Chain,
        memory: NodeMemory,
        logs: MutableMapping[Address, LogReader],
        chance: random.Random,
        now: Seconds,
    ) -> None:
        """`logs` are those that were found before, and are found again only when they do not answer."""
        self._suspect = suspect
        self._chain = chain
        self._memory = memory
        self._logs = logs
        self._chance = chance
        self._now = now
        self._found: list[Finding] = []
        self._conditions: set[str] = set()

    async def look(self) -> list[Finding]:
        """What is new. Raises `ChainUnreachable`."""
        witness = await self._chain.ledger.witness(self._suspect.node)
        self._tell_anchors(witness)
        try:
            log = await self._log()
            signed = await log.checkpoint()
        except Invalid as error:
            self._warn("rewritten", f"shows no checkpoint that holds: {error.message}")
        except (NodeUnreachable, Refused, Deferred) as error:
            self._logs.pop(self._suspect.node, None)
            self._warn("unreachable", f"does not show its log: {error.message}")
        else:
            async with log.many_questions():
                await self._compare(signed, log, witness)
                await self._settle(log, witness)
                await self._sample(log, witness)
        self._memory.resolve(self._conditions)
        return self._found

    def _tell_anchors(self, witness: Witness) -> None:
        known = self._memory.anchored
        news = [anchor for anchor in witness.ring if anchor.size > known]
        for anchor in news if known else news[-1:]:
            self._add("anchor", Weight.NOTE, f"anchored its log of {anchor.size:,} entries")
        self._memory.anchored = witness.size

    async def _compare(self, signed: SignedCheckpoint, log: LogReader, witness: Witness) -> None:
        """A checkpoint against the chain, and against those that the node signed before."""
        size, largest = signed.checkpoint.size, self._memory.largest
        # (1) the checkpoint covers all that is anchored
        if size < witness.size:
            self._warn("behind", f"shows {size:,} entries and has anchored {witness.size:,}: an older copy of its log?")
        # (2) no two checkpoints of one size have two roots
        self._remember(signed)
        if fork := find_fork(self._suspect, self._memory.checkpoints):
            self._accuse(fork)
        # (3) the log goes on from the largest that the node ever showed
        if largest is not None and largest.checkpoint.size > size:
            self._warn("rewritten", f"shows {size:,} entries, and has signed {largest.checkpoint.size:,} before")
        elif largest is not None and size:
            await self._check_growth(largest, signed, log)
        if largest is None or size >= largest.checkpoint.size:
            self._memory.largest = signed

    def _remember(self, signed: SignedCheckpoint) -> None:
        if signed.checkpoint.size:
            self._memory.add(signed)

    async def _check_growth(self, largest: SignedCheckpoint, signed: SignedCheckpoint, log: LogReader) -> None:
        older, newer = largest.checkpoint, signed.checkpoint
        if older.size in (0, newer.size):
            return
        try:
            path = await log.consistency(older.size, newer.size)
            merkle.verify_consistency(older.size, older.root, newer.size, newer.root, path)
        except (Invalid, Refused, Deferred, NodeUnreachable) as error:
            self._memory.add(largest)
            said = (
                f"does not show that its log of {newer.size:,} entries begins with the {older.size:,} it signed before"
            )
            self._warn("rewritten", f"{said}: {error.message}")

    async def _settle(self, log: LogReader, witness: Witness) -> None:
        """The remembered checkpoints that are anchored by now."""
        settled = []
        for signed in self._memory.checkpoints:
            if signed.checkpoint.size > witness.size:
                continue
            # (4) every checkpoint that the node ever showed is a prefix of the anchored log
            try:
                fault = await find_not_a_prefix(self._suspect, signed, log, witness)
            except (Invalid, Refused, Deferred, NodeUnreachable) as error:
                self._withheld(signed.checkpoint.size - 1, error.message)
                continue
            if fault is not None:
                self._accuse(fault)
            settled.append(signed)
        self._memory.forget(settled)

    async def _sample(self, log: LogReader, witness: Witness) -> None:
        for index in self._chance.sample(range(witness.size), min(SAMPLES, witness.size)):
            # (5) any entry of the anchored log is shown to whoever asks
            try:
                await proven_leaf(index, log, witness)
            except (Invalid, Refused, Deferred, NodeUnreachable) as error:
                self._withheld(index, error.message)
                return

    async def _log(self) -> LogReader:
        node = self._suspect.node
        if node not in self._logs:
            self._logs[node] = await self._chain.find_log(node)
        return self._logs[node]

    def _accuse(self, fault: Fault) -> None:
        if self._memory.tell(fault_key(fault)):
            kind = str(type(fault).__struct_config__.tag)
            self._found.append(Finding(self._suspect.node, kind, Weight.FAULT, describe_fault(fault), self._now, fault))

    def _withheld(self, index: int, why: str) -> None:
        command = f"tallynet audit challenge {prefixed(self._suspect.node)} {index}"
        self._warn("withheld", f"does not show entry {index:,} of its anchored log: {why}", command)

    def _warn(self, kind: str, says: str, command: str = "") -> None:
        """Told once for as long as it lasts."""
        self._conditions.add(f"?{kind}")
        if self._memory.tell(f"?{kind}"):
            self._add(kind, Weight.WARNING, says, command)

    def _add(self, kind: str, weight: Weight, says: str, command: str = "") -> None:
        told = f"Node {prefixed(self._suspect.node)} {says}"
        self._found.append(Finding(self._suspect.node, kind, weight, told, self._now, next=command))


def worst(findings: Sequence[Finding]) -> Weight:
    """The weight to act on."""
    weights = {finding.weight for finding in findings}
    return next((weight for weight in (Weight.FAULT, Weight.WARNING) if weight in weights), Weight.NOTE)
