"""The part of `memory` that judges: faults, and entries asked for in public.

`fault.check_fault` holds the rules; its words are the contract's. Nothing is paid here: rewards, bonds and what is
burnt are numbers in the answers.
"""

from collections.abc import Sequence
from dataclasses import replace

import trio

from tallynet.ledger.ledger import Challenge, Slashing
from tallynet.ledger.memory_blocks import Account, Block, Blocks
from tallynet.ledger.rules import MAX_CHALLENGES, RING, check_index, refused, reward_of
from tallynet.protocol import merkle
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import InvalidEvidence, InvalidProof
from tallynet.protocol.fault import KINDS, AnchoredAt, Fault, FaultKind, Witness, check_fault
from tallynet.protocol.keys import Key
from tallynet.protocol.leaf import LEAF_BYTES
from tallynet.protocol.units import ZERO_DIGEST, Address, Digest, Seconds, Wei


class MemoryCourt:
    """Judges nodes on one chain in memory."""

    def __init__(self, domain: Domain, blocks: Blocks, *, challenge_bond: Wei, answer_seconds: int) -> None:
        self._domain = domain
        self._blocks = blocks
        self._challenge_bond = challenge_bond
        self._answer_seconds = answer_seconds

    @property
    def burnt(self) -> Wei:
        """All that was ever burnt."""
        return Wei(sum(slashing.burnt for slashing in self._blocks.events(Slashing)))

    async def ring(self, node: Address) -> Sequence[AnchoredAt]:
        await trio.lowlevel.checkpoint()
        return self._blocks.account(node).ring

    async def witness(self, node: Address) -> Witness:
        await trio.lowlevel.checkpoint()
        return _witness(self._blocks.account(node), self._blocks.last.time)

    async def try_slash(self, reporter: Address, fault: Fault) -> Slashing:
        await trio.lowlevel.checkpoint()
        kind = self._convict(fault)
        slashing = _slashing(fault.node, self._blocks.account(fault.node), reporter, kind, self._blocks.last)
        return replace(slashing, transaction=ZERO_DIGEST)

    async def slash(self, reporter: Key, fault: Fault) -> Slashing:
        await trio.lowlevel.checkpoint()
        if earlier := self._earlier(reporter.address, fault):
            return earlier
        kind = self._convict(fault)
        return self._take_stake(fault.node, self._blocks.account(fault.node), reporter.address, kind)

    async def slashings(self, *, node: Address | None = None, from_block: int = 0) -> Sequence[Slashing]:
        await trio.lowlevel.checkpoint()
        found = self._blocks.events(Slashing, from_block)
        return [slashing for slashing in found if node in (None, slashing.node)]

    async def bond(self, node: Address) -> Wei:
        await trio.lowlevel.checkpoint()
        return Wei(self._challenge_bond << len(self._blocks.account(node).challenges))

    async def challenge(self, challenger: Key, node: Address, index: int) -> Challenge:
        check_index(index)
        bond = await self.bond(node)
        account = self._blocks.account(node)
        if not account.stake:
            raise refused("ledger: node is not registered")
        if index >= account.head.size:
            raise refused("ledger: index is not anchored")
        if any(asked.index == index for asked in account.challenges):
            raise refused("ledger: challenge is open")
        if len(account.challenges) >= MAX_CHALLENGES:
            raise refused("ledger: too many challenges are open")
        answer_by = Seconds(self._blocks.next().time + self._answer_seconds)
        asked = Challenge(node, index, challenger.address, bond, answer_by)
        self._blocks.seal({node: replace(account, challenges=(*account.challenges, asked))})
        return asked

    async def challenges(self, node: Address) -> Sequence[Challenge]:
        await trio.lowlevel.checkpoint()
        return self._blocks.account(node).challenges

    async def answer(self, sender: Key, node: Address, index: int, leaf: bytes, path: Sequence[Digest]) -> None:
        await trio.lowlevel.checkpoint()
        check_index(index)
        account = self._blocks.account(node)
        asked = _open(account, index)
        if len(leaf) != LEAF_BYTES:
            raise refused("ledger: leaf is not 352 bytes")
        try:
            merkle.verify_inclusion(merkle.leaf_hash(leaf), index, account.head.size, path, account.head.root)
        except InvalidProof as error:
            raise refused("ledger: leaf is not at the index") from error
        self._blocks.seal({node: _closed(account, asked)})

    async def finalize(self, sender: Key, node: Address, index: int) -> Slashing:
        await trio.lowlevel.checkpoint()
        check_index(index)
        account = self._blocks.account(node)
        asked = _open(account, index)
        if self._blocks.next().time <= asked.answer_by:
            raise refused("ledger: time to answer is not over")
        return self._take_stake(node, _closed(account, asked), asked.challenger, FaultKind.WITHHELD)

    def _convict(self, fault: Fault) -> FaultKind:
        account = self._blocks.account(fault.node)
        if not account.stake:
            raise refused("ledger: node is not registered")
        try:
            return check_fault(fault, self._domain, _witness(account, self._blocks.next().time))
        except InvalidEvidence as error:
            raise refused(f"ledger: {error.reason}") from error

    def _earlier(self, reporter: Address, fault: Fault) -> Slashing | None:
        """The same reporter's last slashing of the node for the same kind, if that is why it has no stake."""
        if self._blocks.account(fault.node).stake:
            return None
        slashings = self._blocks.events(Slashing)
        found = [slashing for slashing in slashings if slashing.node == fault.node and slashing.burnt]
        same = found and (found[-1].reporter, found[-1].kind) == (reporter, KINDS[type(fault)])
        return found[-1] if same else None

    def _take_stake(self, node: Address, account: Account, reporter: Address, kind: FaultKind) -> Slashing:
        slashing = _slashing(node, account, reporter, kind, self._blocks.next())
        self._blocks.seal({node: replace(account, operator=None, stake=0, exiting_at=0)}, slashing)
        return slashing


def _witness(account: Account, now: Seconds) -> Witness:
    complete = len(account.ring) < RING
    return Witness(account.head.size, account.head.root, now, account.ring, complete)


def _slashing(node: Address, account: Account, reporter: Address, kind: FaultKind, block: Block) -> Slashing:
    reward = reward_of(Wei(account.stake))
    return Slashing(node, reporter, kind, reward, Wei(account.stake - reward), block.number, block.transaction, 0)


def _open(account: Account, index: int) -> Challenge:
    for asked in account.challenges:
        if asked.index == index:
            return asked
    raise refused("ledger: no such challenge")


def _closed(account: Account, asked: Challenge) -> Account:
    return replace(account, challenges=tuple(other for other in account.challenges if other != asked))
