"""The ledger inside one process: the rules of `contracts/ledger.vy` with no chain under them.

Every call that would be a transaction makes one block. Blocks keep the whole state before them, so a test can take
the last ones away, as a reorganisation does. Nothing is paid: there are no balances, and `gas` is 0.

Refusals carry the contract's own revert texts; one test suite runs against this and `chain.ChainLedger`.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256

import trio

from tallynet.ledger.ledger import Anchor, Head, NodeEntry, RunRecord
from tallynet.ledger.rules import check_anchor, check_digests, check_registration, consent, consent_digest, refused
from tallynet.protocol import merkle
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import InvalidProof
from tallynet.protocol.keys import Key, check_signed_by
from tallynet.protocol.units import ZERO_DIGEST, Address, Digest, JobId, Seconds, Wei

_ETHER = Wei(10**18)
_CONTRACT = Address(bytes(19) + b"\x01")
_PROOF_REASONS = {
    3: "ledger: proof has the wrong length",
    4: "ledger: proof does not lead to the old root",
    5: "ledger: proof does not lead to the new root",
}
"""What the contract says where a check of `merkle.verify_consistency` fails."""


@dataclass(frozen=True, slots=True)
class _Account:
    """The contract's three slots of one node, and its last published address."""

    operator: Address | None = None
    stake: int = 0
    exiting_at: int = 0
    head: Head = Head(0, ZERO_DIGEST, Seconds(0))
    multiaddr: str = ""


@dataclass(frozen=True, slots=True)
class _Block:
    number: int
    hash: Digest
    time: Seconds
    accounts: Mapping[Address, _Account] = field(default_factory=dict)
    event: Anchor | RunRecord | None = None


class MemoryLedger:
    """Keeps the promise of `ledger.Ledger` for as long as the process lives."""

    def __init__(
        self,
        *,
        minimum_stake: Wei = _ETHER,
        unbonding_seconds: int = 86_400,
        confirmations: int = 0,
        chain_id: int = 31_337,
        contract: Address = _CONTRACT,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`confirmations` blocks must follow an anchor's block before it is `confirmed`. `clock` gives seconds
        since the epoch; block times follow it and never go back."""
        self._domain = Domain(chain_id, contract)
        self._minimum_stake = minimum_stake
        self._unbonding_seconds = unbonding_seconds
        self._confirmations = confirmations
        self._clock = clock
        self._mined = 0
        self._blocks = [_Block(0, ZERO_DIGEST, Seconds(int(clock())))]

    @property
    def domain(self) -> Domain:
        return self._domain

    def mine(self, blocks: int = 1) -> None:
        """Let blocks pass in which nothing happens."""
        for _ in range(blocks):
            self._seal(self._blocks[-1].accounts, None)

    def rewind(self, blocks: int) -> None:
        """Take the last blocks away with all they hold, as a reorganisation does. The first block stays."""
        del self._blocks[max(1, len(self._blocks) - blocks) :]

    async def now(self) -> Seconds:
        await trio.lowlevel.checkpoint()
        return self._blocks[-1].time

    async def block_number(self) -> int:
        await trio.lowlevel.checkpoint()
        return self._blocks[-1].number

    async def register(self, operator: Key, node: Key, stake: Wei, multiaddr: str) -> None:
        await trio.lowlevel.checkpoint()
        check_registration(stake, multiaddr)
        account = self._account(node.address)
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
        self._write(node.address, replace(account, operator=operator.address, stake=total, multiaddr=multiaddr))

    async def nodes(self) -> Sequence[NodeEntry]:
        await trio.lowlevel.checkpoint()
        entries = (_entry(node, account) for node, account in self._blocks[-1].accounts.items())
        return [entry for entry in entries if entry]

    async def node(self, node: Address) -> NodeEntry | None:
        await trio.lowlevel.checkpoint()
        return _entry(node, self._account(node))

    async def head(self, node: Address) -> Head:
        await trio.lowlevel.checkpoint()
        return self._account(node).head

    async def anchor(self, node: Key, size: int, root: Digest, proof: Sequence[Digest]) -> Anchor:
        check_anchor(size, root, proof)
        old = await self.head(node.address)
        if (size, root) == (old.size, old.root):
            return (await self.anchors(node.address))[-1]
        self._check_anchor(node.address, old, size, root, proof)
        block = self._next()
        anchor = Anchor(node.address, size, root, block.time, block.number, block.hash, _transaction(block), 0, False)
        self._write(node.address, replace(self._account(node.address), head=Head(size, root, block.time)), anchor)
        return self._confirmed(anchor)

    async def anchors(self, node: Address, *, from_block: int = 0) -> Sequence[Anchor]:
        await trio.lowlevel.checkpoint()
        events = [block.event for block in self._blocks[from_block:]]
        return [self._confirmed(event) for event in events if isinstance(event, Anchor) and event.node == node]

    async def record(self, node: Key, job: JobId, request_hash: Digest, output_hash: Digest) -> RunRecord:
        check_digests(job, request_hash, output_hash)
        run = (job, request_hash, output_hash)
        for past in await self.records(node.address):
            if (past.job, past.request_hash, past.output_hash) == run:
                return past
        self._check_registered(node.address)
        block = self._next()
        record = RunRecord(node.address, *run, block.time, block.number, _transaction(block), 0)
        self._write(node.address, self._account(node.address), record)
        return record

    async def records(self, node: Address, *, from_block: int = 0) -> Sequence[RunRecord]:
        await trio.lowlevel.checkpoint()
        events = [block.event for block in self._blocks[from_block:]]
        return [event for event in events if isinstance(event, RunRecord) and event.node == node]

    async def verify(self, node: Address, leaf_hash: Digest, index: int, path: Sequence[Digest]) -> None:
        head = await self.head(node)
        merkle.verify_inclusion(leaf_hash, index, head.size, path, head.root)

    async def begin_exit(self, operator: Key, node: Address) -> Seconds:
        await trio.lowlevel.checkpoint()
        account = self._operated(operator, node)
        if account.exiting_at:
            raise refused("ledger: node is exiting")
        free_at = Seconds(self._next().time + self._unbonding_seconds)
        self._write(node, replace(account, exiting_at=free_at))
        return free_at

    async def withdraw(self, operator: Key, node: Address) -> Wei:
        await trio.lowlevel.checkpoint()
        account = self._operated(operator, node)
        if not account.exiting_at:
            raise refused("ledger: node is not exiting")
        if self._next().time < account.exiting_at:
            raise refused("ledger: stake is still bound")
        self._write(node, replace(account, operator=None, stake=0, exiting_at=0))
        return Wei(account.stake)

    def _check_registered(self, node: Address) -> None:
        if not self._account(node).stake:
            raise refused("ledger: node is not registered")

    def _operated(self, operator: Key, node: Address) -> _Account:
        account = self._account(node)
        if account.operator != operator.address:
            raise refused("ledger: caller is not the operator")
        return account

    def _check_anchor(self, node: Address, old: Head, size: int, root: Digest, proof: Sequence[Digest]) -> None:
        self._check_registered(node)
        if size <= old.size:
            raise refused("ledger: size does not grow")
        if old.size == 0 and proof:
            raise refused("ledger: first anchor takes no proof")
        if old.size:
            try:
                merkle.verify_consistency(old.size, old.root, size, root, proof)
            except InvalidProof as error:
                raise refused(_PROOF_REASONS[error.check or 0]) from error

    def _account(self, node: Address) -> _Account:
        return self._blocks[-1].accounts.get(node, _Account())

    def _write(self, node: Address, account: _Account, event: Anchor | RunRecord | None = None) -> None:
        """One transaction, and the block that holds it."""
        self._seal({**self._blocks[-1].accounts, node: account}, event)

    def _next(self) -> _Block:
        """The block that is going to hold the present transaction."""
        last = self._blocks[-1]
        label = f"{self._mined}".encode() + last.hash
        seconds = max(last.time, Seconds(int(self._clock())))
        return _Block(last.number + 1, Digest(sha256(b"block" + label).digest()), seconds)

    def _seal(self, accounts: Mapping[Address, _Account], event: Anchor | RunRecord | None) -> None:
        self._blocks.append(replace(self._next(), accounts=accounts, event=event))
        self._mined += 1  # a block that replaces another has another hash

    def _confirmed(self, anchor: Anchor) -> Anchor:
        return replace(anchor, confirmed=self._blocks[-1].number - anchor.block >= self._confirmations)


def _entry(node: Address, account: _Account) -> NodeEntry | None:
    if account.operator is None:
        return None
    stake, exiting_at = Wei(account.stake), Seconds(account.exiting_at)
    return NodeEntry(node, account.operator, stake, account.multiaddr, exiting_at)


def _transaction(block: _Block) -> Digest:
    return Digest(sha256(b"transaction" + block.hash).digest())
