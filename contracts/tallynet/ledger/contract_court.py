"""The part of the contract that judges, as calls: faults, and entries asked for in public."""

from collections.abc import Sequence
from typing import Final

from tallynet.ledger import events
from tallynet.ledger.contract_calls import ContractCalls, topic
from tallynet.ledger.history import Mined
from tallynet.ledger.ledger import Challenge, Slashing
from tallynet.ledger.rules import RING, check_index, check_leaf, refused, reward_of
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import ChainUnreachable, InvalidEvidence, Refused
from tallynet.protocol.fault import (
    KINDS,
    AnchoredAt,
    Fault,
    Fork,
    LateAnchor,
    SignedPromise,
    TwoPromises,
    Witness,
    WrongLeaf,
    check_fault,
)
from tallynet.protocol.keys import Key
from tallynet.protocol.units import ZERO_DIGEST, Address, Digest, Seconds, Wei

NO_WITNESS: Final = Witness(0, ZERO_DIGEST, Seconds(0), (), complete=True)
"""A fork is judged without one."""


class ContractCourt(ContractCalls):
    """Judges nodes through the contract."""

    async def ring(self, node: Address) -> Sequence[AnchoredAt]:
        return await self._chain.ring(node)

    async def witness(self, node: Address) -> Witness:
        for _ in range(3):
            head, ring = await self._chain.head(node), await self._chain.ring(node)
            now = (await self._chain.latest()).time
            if [0, *(anchor.size for anchor in ring)][-1] == head.size:
                return Witness(head.size, head.root, now, tuple(ring), len(ring) < RING)
        raise ChainUnreachable("the node anchored three times while its state was read")

    async def try_slash(self, reporter: Address, fault: Fault) -> Slashing:
        call = self._call(*accusation(fault, self._domain))
        await self._chain.attempt(reporter, call)
        entry, latest = await self._entry(fault.node), await self._chain.latest()
        if entry is None:
            raise refused("ledger: node is not registered")
        gas, reward = await self._chain.estimate(reporter, call), reward_of(entry.stake)
        burnt = Wei(entry.stake - reward)
        return Slashing(fault.node, reporter, KINDS[type(fault)], reward, burnt, latest.number, ZERO_DIGEST, gas)

    async def slash(self, reporter: Key, fault: Fault) -> Slashing:
        if earlier := await self._find_slashing(reporter.address, fault):
            return earlier
        try:
            receipt = await self._post(reporter, *accusation(fault, self._domain))
        except Refused:
            # A transaction from before a restart of this program may have got into a block just now.
            if earlier := await self._find_slashing(reporter.address, fault):
                return earlier
            raise
        return _slashing(await self._located(receipt, self._event(receipt, events.SLASHED)))

    async def slashings(self, *, node: Address | None = None, from_block: int = 0) -> Sequence[Slashing]:
        topics = [events.SLASHED] + ([topic(node)] if node else [])
        return [_slashing(mined) for mined in await self._history.mined(topics, from_block)]

    async def bond(self, node: Address) -> Wei:
        return await self._chain.bond(node)

    async def challenge(self, challenger: Key, node: Address, index: int) -> Challenge:
        check_index(index)
        receipt = await self._post(challenger, "challenge", node, index, value=await self._chain.bond(node))
        return events.challenged(self._event(receipt, events.CHALLENGED))

    async def challenges(self, node: Address) -> Sequence[Challenge]:
        latest = await self._chain.latest()
        logs = await self._history.logs([events.CHALLENGED, topic(node)], 0, latest.number)
        newest_first = dict.fromkeys(events.challenged(log).index for log in reversed(logs))
        found = [await self._chain.asked(node, index) for index in reversed(newest_first)]
        return [challenge for challenge in found if challenge]

    async def answer(self, sender: Key, node: Address, index: int, leaf: bytes, path: Sequence[Digest]) -> None:
        check_index(index)
        check_leaf(leaf, path)
        await self._post(sender, "answer", node, index, leaf, list(path))

    async def finalize(self, sender: Key, node: Address, index: int) -> Slashing:
        check_index(index)
        receipt = await self._post(sender, "finalize", node, index)
        return _slashing(await self._located(receipt, self._event(receipt, events.SLASHED)))

    async def _find_slashing(self, reporter: Address, fault: Fault) -> Slashing | None:
        """The same reporter's slashing of the node for the same kind, if that is why it has no stake."""
        if await self._entry(fault.node):
            return None
        newest = await self._history.newest(
            [events.SLASHED, topic(fault.node)], lambda log: events.slashed(log).burnt > 0
        )
        found = _slashing(newest) if newest else None
        return found if found and (found.reporter, found.kind) == (reporter, KINDS[type(fault)]) else None


def accusation(fault: Fault, domain: Domain) -> tuple[str, *tuple[object, ...]]:
    """The function of the contract that judges the fault, and its arguments. Raises `Refused` for what cannot be
    said to it."""
    if isinstance(fault, LateAnchor):
        return ("slash_late", fault.node, *_promise(fault.promise))
    if isinstance(fault, WrongLeaf):
        return ("slash_leaf", fault.node, *_promise(fault.promise), fault.leaf_hash, list(fault.path))
    if isinstance(fault, TwoPromises):
        return ("slash_pair", fault.node, *_promise(fault.first), *_promise(fault.second))
    if isinstance(fault, Fork):
        one, other = fault.first, fault.second
        if one.checkpoint.size != other.checkpoint.size:  # the contract is told one size for both
            raise _refused(fault, domain)
        sides = (one.checkpoint.root, one.signature, other.checkpoint.root, other.signature)
        return ("slash_fork", fault.node, one.checkpoint.size, *sides)
    signed = fault.checkpoint
    side = (signed.checkpoint.size, signed.checkpoint.root, signed.signature)
    return ("slash_prefix", fault.node, *side, fault.true_root, list(fault.path))


def _refused(fork: Fork, domain: Domain) -> Refused:
    """What is wrong with checkpoints of two sizes."""
    try:
        check_fault(fork, domain, NO_WITNESS)
    except InvalidEvidence as error:
        return refused(f"ledger: {error.reason}")
    raise ValueError("checkpoints of two sizes contradict each other")


def _promise(promise: SignedPromise) -> tuple[tuple[bytes | int, ...], bytes]:
    """A receipt as the contract's struct, and its signature."""
    receipt = promise.receipt
    return (receipt.leaf, receipt.index, receipt.anchor_by, receipt.job), promise.signature


def _slashing(mined: Mined) -> Slashing:
    log, event = mined.log, events.slashed(mined.log)
    what = (event.node, event.reporter, event.kind, event.reward, event.burnt)
    return Slashing(*what, log.block, log.transaction, mined.gas)
