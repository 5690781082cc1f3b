"""The ledger inside one process: the rules of `contracts/ledger.vy` with no chain under them.

Every call that would be a transaction makes one block. Blocks keep the whole state before them, so a test can take
the last ones away, as a reorganisation does. Nothing is paid: there are no balances, and `gas` is 0.

Refusals carry the contract's own revert texts; one test suite runs against this and `chain.ChainLedger`.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import trio

from tallynet.ledger.ledger import Anchor, Attestation, Head, NodeEntry, Relay, RunRecord, SampleBounds
from tallynet.ledger.memory_blocks import Account, Block, Blocks, entry
from tallynet.ledger.memory_court import MemoryCourt
from tallynet.ledger.rules import (
    RING,
    check_anchor,
    check_bounds,
    check_digests,
    check_registration,
    check_relays,
    consent,
    consent_digest,
    refused,
    relay_digest,
)
from tallynet.protocol import merkle
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import InvalidProof, InvalidSignature
from tallynet.protocol.fault import SIGNATURE_REASONS, AnchoredAt
from tallynet.protocol.keys import Key, check_signed_by
from tallynet.protocol.units import Address, Digest, JobId, Seconds, Wei

_ETHER = Wei(10**18)
_BOND = Wei(10**16)
_CONTRACT = Address(bytes(19) + b"\x01")
_PROOF_REASONS = {
    3: "ledger: proof has the wrong length",
    4: "ledger: proof does not lead to the old root",
    5: "ledger: proof does not lead to the new root",
}
"""What the contract says where a check of `merkle.verify_consistency` fails."""


class MemoryLedger(MemoryCourt):
    """Keeps the promise of `ledger.Ledger` for as long as the process lives."""

    def __init__(
        self,
        *,
        minimum_stake: Wei = _ETHER,
        unbonding_seconds: int = 86_400,
        challenge_bond: Wei = _BOND,
        answer_seconds: int = 86_400,
        confirmations: int = 0,
        chain_id: int = 31_337,
        contract: Address = _CONTRACT,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`confirmations` blocks must follow an anchor's block before it is `confirmed`. `clock` gives seconds
        since the epoch; block times follow it and never go back."""
        domain = Domain(chain_id, contract)
        super().__init__(domain, Blocks(clock), challenge_bond=challenge_bond, answer_seconds=answer_seconds)
        self._minimum_stake = minimum_stake
        self._unbonding_seconds = unbonding_seconds
        self._confirmations = confirmations

    @property
    def domain(self) -> Domain:
        return self._domain

    def mine(self, blocks: int = 1) -> None:
        """Let blocks pass in which nothing happens."""
        for _ in range(blocks):
            self._blocks.seal({})

    def rewind(self, blocks: int) -> None:
        """Take the last blocks away with all they hold, as a reorganisation does. The first block stays."""
        self._blocks.rewind(blocks)

    async def now(self) -> Seconds:
        await trio.lowlevel.checkpoint()
        return self._blocks.last.time

    async def block_number(self) -> int:
        await trio.lowlevel.checkpoint()
        return self._blocks.last.number

    async def block_hash(self, number: int) -> Digest | None:
        await trio.lowlevel.checkpoint()
        return self._blocks.hash(number)

    async def register(self, operator: Key, node: Key, stake: Wei, multiaddr: str) -> None:
        await trio.lowlevel.checkpoint()
        check_registration(stake, multiaddr)
        account = self._blocks.account(node.address)
        if account.operator not in (None, operator.address):
            raise refused("ledger: node belongs to another operator")
        if account.exiting_at:
            raise refused("ledger: node is exiting")
        signature = consent(self._domain, operator.address, node)
        check_signed_by(consent_digest(self._domain, operator.address, node.address), signature, node.address)
        total = account.stake + stake
        if total < self._minimum_stake:
            raise refused("ledger: stake is below the minimum")
        check_registration(total, multiaddr)
        changed = replace(account, operator=operator.address, stake=total, multiaddr=multiaddr)
        self._blocks.seal({node.address: changed})

    async def nodes(self) -> Sequence[NodeEntry]:
        await trio.lowlevel.checkpoint()
        return self._blocks.entries()

    async def node(self, node: Address) -> NodeEntry | None:
        await trio.lowlevel.checkpoint()
        return entry(node, self._blocks.account(node))

    async def head(self, node: Address) -> Head:
        await trio.lowlevel.checkpoint()
        return self._blocks.account(node).head

    async def anchor(self, node: Key, size: int, root: Digest, proof: Sequence[Digest]) -> Anchor:
        check_anchor(size, root, proof)
        old = await self.head(node.address)
        if (size, root) == (old.size, old.root):
            return (await self.anchors(node.address))[-1]
        account = self._blocks.account(node.address)
        if not account.stake:
            raise refused("ledger: node is not registered")
        if size <= old.size:
            raise refused("ledger: size does not grow")
        block = self._blocks.next()
        changed = _moved(account, size, root, proof, block)
        posted = _anchor(node.address, changed, block)
        self._blocks.seal({node.address: changed}, posted)
        return self._confirmed(posted)

    async def anchor_many(self, relayer: Key, relays: Sequence[Relay]) -> Sequence[Anchor]:
        await trio.lowlevel.checkpoint()
        check_relays(relays)
        block = self._blocks.next()
        changed: dict[Address, Account] = {}
        posted = []
        for relay in relays:
            account = changed.get(relay.node, self._blocks.account(relay.node))
            if relay.size <= account.head.size:
                continue
            self._check_relay(relay, account)
            changed[relay.node] = _moved(account, relay.size, relay.root, relay.proof, block)
            posted.append(_anchor(relay.node, changed[relay.node], block))
        self._blocks.seal(changed, *posted)
        return [self._confirmed(anchor) for anchor in posted]

    async def anchors(self, node: Address, *, from_block: int = 0) -> Sequence[Anchor]:
        await trio.lowlevel.checkpoint()
        found = self._blocks.events(Anchor, from_block)
        return [self._confirmed(anchor) for anchor in found if anchor.node == node]

    async def record(self, node: Key, job: JobId, request_hash: Digest, output_hash: Digest) -> RunRecord:
        check_digests(job, request_hash, output_hash)
        run = (job, request_hash, output_hash)
        for past in await self.records(node.address):
            if (past.job, past.request_hash, past.output_hash) == run:
                return past
        if not self._blocks.account(node.address).stake:
            raise refused("ledger: node is not registered")
        block = self._blocks.next()
        record = RunRecord(node.address, *run, block.time, block.number, block.transaction, 0)
        self._blocks.seal({}, record)
        return record

    async def records(self, node: Address, *, from_block: int = 0) -> Sequence[RunRecord]:
        await trio.lowlevel.checkpoint()
        return [record for record in self._blocks.events(RunRecord, from_block) if record.node == node]

    async def attest(self, auditor: Key, node: Address, bounds: SampleBounds) -> Attestation:
        check_bounds(bounds)
        for past in await self.attestations(node):
            if (past.auditor, past.bounds) == (auditor.address, bounds):
                return past
        if bounds.size > self._blocks.account(node).head.size:
            raise refused("ledger: size is not anchored")
        block = self._blocks.next()
        attestation = Attestation(node, auditor.address, bounds, block.time, block.number, block.transaction, 0)
        self._blocks.seal({}, attestation)
        return attestation

    async def attestations(self, node: Address, *, from_block: int = 0) -> Sequence[Attestation]:
        await trio.lowlevel.checkpoint()
        return [one for one in self._blocks.events(Attestation, from_block) if one.node == node]

    async def verify(self, node: Address, leaf_hash: Digest, index: int, path: Sequence[Digest]) -> None:
        head = await self.head(node)
        merkle.verify_inclusion(leaf_hash, index, head.size, path, head.root)

    async def begin_exit(self, operator: Key, node: Address) -> Seconds:
        await trio.lowlevel.checkpoint()
        account = self._operated(operator, node)
        if account.exiting_at:
            raise refused("ledger: node is exiting")
        free_at = Seconds(self._blocks.next().time + self._unbonding_seconds)
        self._blocks.seal({node: replace(account, exiting_at=free_at)})
        return free_at

    async def withdraw(self, operator: Key, node: Address) -> Wei:
        await trio.lowlevel.checkpoint()
        account = self._operated(operator, node)
        if not account.exiting_at:
            raise refused("ledger: node is not exiting")
        if self._blocks.next().time < account.exiting_at:
            raise refused("ledger: stake is still bound")
        if account.challenges:
            raise refused("ledger: a challenge is open")
        self._blocks.seal({node: replace(account, operator=None, stake=0, exiting_at=0)})
        return Wei(account.stake)

    def _operated(self, operator: Key, node: Address) -> Account:
        account = self._blocks.account(node)
        if account.operator != operator.address:
            raise refused("ledger: caller is not the operator")
        return account

    def _check_relay(self, relay: Relay, account: Account) -> None:
        if not account.stake:
            raise refused("ledger: node is not registered")
        digest = relay_digest(self._domain, relay.size, relay.root)
        try:
            check_signed_by(digest, relay.signature, relay.node)
        except InvalidSignature as error:
            raise refused(f"ledger: {SIGNATURE_REASONS[error.check or 0]}") from error

    def _confirmed(self, anchor: Anchor) -> Anchor:
        return replace(anchor, confirmed=self._blocks.last.number - anchor.block >= self._confirmations)


def _moved(account: Account, size: int, root: Digest, proof: Sequence[Digest], block: Block) -> Account:
    """The account with another head, if the proof leads there."""
    old = account.head
    if old.size == 0 and proof:
        raise refused("ledger: first anchor takes no proof")
    if old.size:
        try:
            merkle.verify_consistency(old.size, old.root, size, root, proof)
        except InvalidProof as error:
            raise refused(_PROOF_REASONS[error.check or 0]) from error
    ring = (*account.ring, AnchoredAt(size, block.time))[-RING:]
    return replace(account, head=Head(size, root, block.time), ring=ring)


def _anchor(node: Address, account: Account, block: Block) -> Anchor:
    head = account.head
    return Anchor(node, head.size, head.root, head.anchored_at, block.number, block.hash, block.transaction, 0, False)
