"""(6) Following nodes: what each signs, shows and anchors from now on, held against what it signed before.

A checkpoint larger than the anchored head proves nothing yet. It is remembered, and once the node has anchored that
much it is a prefix of the anchored log or evidence. Source: spec chapter 6, "Watching".
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import trio

from tallynet.audit.anchoring import Chain
from tallynet.audit.evidence import Suspect, describe_fault, fault_key
from tallynet.audit.evidence_file import save_fault
from tallynet.audit.findings import Finding, Weight
from tallynet.audit.node_watch import NodeWatch
from tallynet.audit.own_receipts import Standing, check_receipts, read_receipts
from tallynet.audit.slashing import send_fault, try_fault
from tallynet.audit.watch_memory import Memory
from tallynet.ledger.ledger import Slashing
from tallynet.network.log_reader import LogReader
from tallynet.protocol.bundle import SUFFIX
from tallynet.protocol.errors import ChainUnreachable, TallyError
from tallynet.protocol.fault import Fault
from tallynet.protocol.keys import Key
from tallynet.protocol.units import Address, Seconds, prefixed

AT_ONCE = 8
"""Nodes looked at at the same time."""


@dataclass
class Watch:
    """Looks at all nodes once a round."""

    chain: Chain
    memory: Memory
    nodes: Sequence[Address]
    """Those to watch; empty for everyone registered."""
    evidence: Path
    """Folder for evidence files."""
    receipts: Path | None = None
    """Folder with the user's own receipts, if they are to be looked up."""
    slasher: Key | None = None
    """Who posts what is proven, if anybody."""
    chance: random.Random = field(default_factory=random.SystemRandom)
    """Draws the entries that a node is asked for."""
    _logs: dict[Address, LogReader] = field(default_factory=dict)
    _settled: set[str] = field(default_factory=set)
    """Files of receipts that need no second look."""

    async def round(self) -> list[Finding]:
        """Everything new. Raises `ChainUnreachable`; a node that does not answer is a finding."""
        ledger = self.chain.ledger
        now, block = await ledger.now(), await ledger.block_number()
        found = await self._look_at_all(await self._watched(), now)
        found += await self._look_at_receipts(now)
        found = [self._kept(finding) for finding in found]
        found += await self._slash([finding.fault for finding in found if finding.fault], now)
        found += await self._slashed(now)
        self.memory.block = block
        return found

    async def _watched(self) -> Sequence[Address]:
        return self.nodes or [entry.node for entry in await self.chain.ledger.nodes()]

    async def _look_at_all(self, nodes: Sequence[Address], now: Seconds) -> list[Finding]:
        found: dict[Address, list[Finding]] = {}
        failures: list[TallyError] = []
        limit = trio.CapacityLimiter(AT_ONCE)

        async def look(node: Address) -> None:
            suspect = Suspect(node, self.chain.ledger.domain)
            watch = NodeWatch(suspect, self.chain, self.memory.of(node), self._logs, self.chance, now)
            async with limit:
                try:
                    found[node] = await watch.look()
                except ChainUnreachable as error:
                    failures.append(error)

        async with trio.open_nursery() as nursery:
            for node in nodes:
                nursery.start_soon(look, node)
        if failures:
            raise failures[0]
        return [finding for node in nodes for finding in found[node]]

    async def _look_at_receipts(self, now: Seconds) -> list[Finding]:
        """Own receipts that were not anchored in time, or not as promised."""
        if self.receipts is None:
            return []
        mine = read_receipts(self.receipts, self.chain.ledger.domain, self._settled)
        watched = set(self.nodes)
        found = []
        for kept in await check_receipts([b for b in mine.bundles if not watched or b.node in watched], self.chain):
            job = kept.bundle.receipt.receipt.job.hex()
            if kept.standing not in (Standing.PENDING, Standing.UNPROVEN):
                self._settled.add(job + SUFFIX)
            if kept.fault is not None and self.memory.of(kept.bundle.node).tell(fault_key(kept.fault)):
                found.append(_accuse(kept.fault, now))
        return found

    def _kept(self, finding: Finding) -> Finding:
        """The finding with its evidence in a file."""
        if finding.fault is None:
            return finding
        path = save_fault(self.evidence, finding.fault, self.chain.ledger.domain)
        return Finding(
            finding.node,
            finding.kind,
            finding.weight,
            finding.says,
            finding.time,
            finding.fault,
            str(path),
            f"tallynet audit slash {path}",
        )

    async def _slash(self, faults: Sequence[Fault], now: Seconds) -> list[Finding]:
        """Post what the contract confirms: one fault is enough for a whole stake."""
        found: list[Finding] = []
        if self.slasher is None:
            return found
        for fault in faults:
            if await self.chain.ledger.node(fault.node) is None:
                continue
            try:
                trial = await try_fault(fault, self.chain, self.slasher.address)
                if trial.slashing is not None:
                    await send_fault(trial, self.chain, self.slasher)
                    continue
                refusal = trial.refusal
            except ChainUnreachable:
                raise
            except TallyError as error:
                refusal = error.message
            found.append(Finding(fault.node, "refused", Weight.WARNING, f"not slashed: {refusal}", now))
        return found

    async def _slashed(self, now: Seconds) -> list[Finding]:
        """Stakes taken since the last round, by whomever."""
        watched = set(self.nodes)
        found = []
        for slashing in await self.chain.ledger.slashings(from_block=self.memory.block):
            told = not watched or slashing.node in watched
            if told and self.memory.of(slashing.node).tell(f"slashed-{slashing.transaction.hex()[:16]}"):
                found.append(_convicted(slashing, now))
        return found


def _accuse(fault: Fault, now: Seconds) -> Finding:
    kind = str(type(fault).__struct_config__.tag)
    return Finding(fault.node, kind, Weight.FAULT, describe_fault(fault), now, fault)


def _convicted(slashing: Slashing, now: Seconds) -> Finding:
    says = (
        f"Node {prefixed(slashing.node)} lost its stake for the fault {slashing.kind.name.lower()} in block "
        f"{slashing.block}: {slashing.reward:,} wei to {prefixed(slashing.reporter)}, {slashing.burnt:,} burnt."
    )
    return Finding(slashing.node, "slashed", Weight.FAULT, says, now)
