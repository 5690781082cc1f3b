"""The ledger as calls to the contract `contracts/ledger.vy` on some chain.

What happens here is the same on every chain and needs no foreign library: which function to call, what to look for
before and after, and which event is the answer. How a chain is reached is `chain`'s business.
"""

from collections.abc import Sequence
from dataclasses import astuple

from tallynet.ledger import events
from tallynet.ledger.contract_calls import Chain, topic
from tallynet.ledger.contract_court import ContractCourt
from tallynet.ledger.directory import Directory
from tallynet.ledger.history import Mined
from tallynet.ledger.ledger import Anchor, Attestation, Head, NodeEntry, Relay, RunRecord, SampleBounds
from tallynet.ledger.outbox import Pacing
from tallynet.ledger.rules import (
    check_anchor,
    check_bounds,
    check_digests,
    check_path,
    check_registration,
    check_relays,
    consent,
)
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import InvalidProof, Refused
from tallynet.protocol.keys import Key
from tallynet.protocol.units import Address, Digest, JobId, Seconds, Wei, prefixed, short


class ContractLedger(ContractCourt):
    """Keeps the promise of `ledger.Ledger` over one contract. Use one per chain in a process: it hands out nonces.

    Every call may be cancelled; a transaction on its way is then in the same state as after `ChainUnreachable`.
    """

    def __init__(
        self,
        chain: Chain,
        domain: Domain,
        *,
        first_block: int,
        confirmations: int,
        blocks_per_query: int,
        pacing: Pacing,
    ) -> None:
        """`first_block` is that of the contract: no event is older."""
        super().__init__(chain, domain, first_block=first_block, blocks_per_query=blocks_per_query, pacing=pacing)
        self._confirmations = confirmations
        self._directory = Directory(self._history)

    @property
    def domain(self) -> Domain:
        return self._domain

    async def now(self) -> Seconds:
        return (await self._chain.latest()).time

    async def block_number(self) -> int:
        return (await self._chain.latest()).number

    async def block_hash(self, number: int) -> Digest | None:
        block = await self._chain.block(number)
        return block.hash if block else None

    async def register(self, operator: Key, node: Key, stake: Wei, multiaddr: str) -> None:
        check_registration(stake, multiaddr)
        signature = consent(self._domain, operator.address, node)
        await self._post(operator, "register", node.address, multiaddr, signature, value=stake)

    async def nodes(self) -> Sequence[NodeEntry]:
        return await self._chain.entries(await self._directory.read(await self.block_number()))

    async def node(self, node: Address) -> NodeEntry | None:
        published = await self._directory.read(await self.block_number())
        entries = await self._chain.entries({node: published.get(node, "")})
        return entries[0] if entries else None

    async def head(self, node: Address) -> Head:
        return await self._chain.head(node)

    async def anchor(self, node: Key, size: int, root: Digest, proof: Sequence[Digest]) -> Anchor:
        check_anchor(size, root, proof)
        if earlier := await self._find_anchor(node.address, size, root):
            return earlier
        try:
            receipt = await self._post(node, "anchor", size, root, list(proof))
        except Refused:
            # A transaction from before a restart of this program may have got into a block just now.
            if earlier := await self._find_anchor(node.address, size, root):
                return earlier
            raise
        mined = await self._located(receipt, self._event(receipt, events.ANCHORED))
        return self._anchor(mined, receipt.block)

    async def anchor_many(self, relayer: Key, relays: Sequence[Relay]) -> Sequence[Anchor]:
        """Safe to repeat: the contract passes over what it has, so only the anchors of this call are returned."""
        check_relays(relays)
        receipt = await self._post(relayer, "anchor_many", [astuple(relay) for relay in relays])
        found = [await self._located(receipt, log) for log in self._events(receipt, events.ANCHORED)]
        return [self._anchor(mined, receipt.block) for mined in found]

    async def anchors(self, node: Address, *, from_block: int = 0) -> Sequence[Anchor]:
        found = await self._history.mined([events.ANCHORED, topic(node)], from_block)
        latest = await self.block_number()
        return [self._anchor(mined, latest) for mined in found]

    async def record(self, node: Key, job: JobId, request_hash: Digest, output_hash: Digest) -> RunRecord:
        """Looks back `blocks_per_query` blocks for the same record, and returns that instead of a second one."""
        check_digests(job, request_hash, output_hash)
        wanted = events.Recorded(node.address, job, request_hash, output_hash)
        topics = [events.RECORDED, topic(node.address), Digest(job)]
        if earlier := await self._history.newest(topics, lambda log: events.recorded(log) == wanted, spans=1):
            return _record(earlier)
        receipt = await self._post(node, "record", job, request_hash, output_hash)
        return _record(await self._located(receipt, self._event(receipt, events.RECORDED)))

    async def records(self, node: Address, *, from_block: int = 0) -> Sequence[RunRecord]:
        found = await self._history.mined([events.RECORDED, topic(node)], from_block)
        return [_record(mined) for mined in found]

    async def attest(self, auditor: Key, node: Address, bounds: SampleBounds) -> Attestation:
        """Looks back as `record` does."""
        check_bounds(bounds)
        wanted = events.Attested(node, auditor.address, bounds)
        topics = [events.ATTESTED, topic(node), topic(auditor.address)]
        if earlier := await self._history.newest(topics, lambda log: events.attested(log) == wanted, spans=1):
            return _attestation(earlier)
        receipt = await self._post(auditor, "attest", node, *astuple(bounds))
        return _attestation(await self._located(receipt, self._event(receipt, events.ATTESTED)))

    async def attestations(self, node: Address, *, from_block: int = 0) -> Sequence[Attestation]:
        found = await self._history.mined([events.ATTESTED, topic(node)], from_block)
        return [_attestation(mined) for mined in found]

    async def verify(self, node: Address, leaf_hash: Digest, index: int, path: Sequence[Digest]) -> None:
        check_path(leaf_hash, index, path)
        if not await self._chain.is_logged(node, leaf_hash, index, path):
            where = f"at index {index} of the log of {prefixed(node)}"
            evidence = {"node": node, "leaf": leaf_hash, "index": index, "path": tuple(path)}
            raise InvalidProof(f"the contract does not find leaf {short(leaf_hash)} {where}", evidence=evidence)

    async def begin_exit(self, operator: Key, node: Address) -> Seconds:
        receipt = await self._post(operator, "begin_exit", node)
        return events.exit_begun(self._event(receipt, events.EXIT_BEGUN))

    async def withdraw(self, operator: Key, node: Address) -> Wei:
        receipt = await self._post(operator, "withdraw", node)
        return events.withdrawn(self._event(receipt, events.WITHDRAWN))

    async def _find_anchor(self, node: Address, size: int, root: Digest) -> Anchor | None:
        head = await self.head(node)
        if (head.size, head.root) != (size, root):
            return None
        wanted = events.Anchored(node, size, root)
        topics = [events.ANCHORED, topic(node)]
        mined = await self._history.newest(topics, lambda log: events.anchored(log) == wanted)
        return self._anchor(mined, await self.block_number()) if mined else None

    def _anchor(self, mined: Mined, latest: int) -> Anchor:
        log, event = mined.log, events.anchored(mined.log)
        confirmed = latest - log.block >= self._confirmations
        where = (mined.time, log.block, log.block_hash, log.transaction, mined.gas)
        return Anchor(event.node, event.size, event.root, *where, confirmed)


def _record(mined: Mined) -> RunRecord:
    log, event = mined.log, events.recorded(mined.log)
    run = (event.node, event.job, event.request_hash, event.output_hash)
    return RunRecord(*run, mined.time, log.block, log.transaction, mined.gas)


def _attestation(mined: Mined) -> Attestation:
    log, event = mined.log, events.attested(mined.log)
    return Attestation(event.node, event.auditor, event.bounds, mined.time, log.block, log.transaction, mined.gas)
