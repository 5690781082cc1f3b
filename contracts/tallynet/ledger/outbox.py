"""Posting transactions, each at most once, whatever the connection does in between.

A transaction is signed before it is sent, so its hash is known even if the answer to the sending is lost. From
then on there are only three moves: send the same bytes again, look for the receipt, or replace it with one of the
same nonce and higher fees. A chain takes one transaction per nonce, so none of them can post twice.

    idle ──► signed and sent ──► in a block ──► done
                 │    ▲
                 └────┘ same bytes again; after `bump_seconds` same nonce, higher fees

A call that ends with its fate unknown is remembered: the same call made again takes up the search where it ended.
One lock per sender keeps two calls from choosing the same nonce, so use one outbox per chain in a process.
"""

import logging
from dataclasses import dataclass, field
from typing import Final, Protocol

import trio

from tallynet.ledger.history import Receipt
from tallynet.ledger.rules import refused
from tallynet.protocol.errors import ChainUnreachable, Refused
from tallynet.protocol.keys import Key
from tallynet.protocol.units import Address, Digest, Wei, prefixed

RECEIPT_POLLS: Final = 5
"""Times to look for a receipt after the nonce was counted: an endpoint may lag behind itself."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Call:
    """What a transaction does."""

    to: Address | None
    """The contract called; None creates one."""
    data: bytes
    value: Wei


@dataclass(frozen=True, slots=True)
class Fees:
    """Wei per unit of gas (EIP-1559)."""

    most: int
    """All that is paid at most."""
    tip: int
    """Of it, what the block's producer gets at most; tip ≤ most."""

    def raised(self) -> "Fees":
        """A quarter more: nodes ask for an eighth at least to replace a transaction."""
        return Fees(self.most + self.most // 4 + 1, self.tip + self.tip // 4 + 1)


@dataclass(frozen=True, slots=True)
class Draft:
    """All that is signed."""

    call: Call
    nonce: int
    gas: int
    """Gas limit."""
    fees: Fees


@dataclass(frozen=True, slots=True)
class Pacing:
    """How long to wait for a block, and what to pay at most."""

    give_up_seconds: float = 180.0
    """A call ends with `ChainUnreachable` after this; its transaction may still get into a block."""
    bump_seconds: float = 30.0
    """The fees are raised when there was no block for so long."""
    poll_seconds: float = 1.0
    max_fee_wei: int = 500 * 10**9
    """Wei per unit of gas above which nothing is posted."""


class Chain(Protocol):
    """What is asked of a chain here. Every method raises `ChainUnreachable`."""

    async def estimate(self, sender: Address, call: Call) -> int:
        """Gas that the call would use; raises `Refused` if it would revert or cannot be paid."""

    async def nonce(self, sender: Address) -> int:
        """How many transactions of `sender` are in blocks."""

    async def fees(self) -> Fees: ...

    def sign(self, key: Key, draft: Draft) -> tuple[bytes, Digest]:
        """The signed transaction's bytes and hash."""

    async def broadcast(self, raw: bytes) -> str:
        """Hand the bytes to the network. What the endpoint has against them, empty if nothing."""

    async def is_known(self, transaction: Digest) -> bool:
        """Whether the endpoint has the transaction, in a block or waiting."""

    async def receipt(self, transaction: Digest) -> Receipt | None: ...


@dataclass(slots=True)
class _Pending:
    """A call on its way, and every transaction that was signed for it, all with one nonce."""

    call: Call
    nonce: int
    gas: int
    fees: Fees
    hashes: list[Digest] = field(default_factory=list)


class Outbox:
    """Posts calls to one chain."""

    def __init__(self, chain: Chain, pacing: Pacing) -> None:
        self._chain = chain
        self._pacing = pacing
        self._locks: dict[Address, trio.Lock] = {}
        self._pending: dict[Address, _Pending] = {}

    async def post(self, key: Key, call: Call) -> Receipt:
        """Post `call` from the account of `key` and return the receipt once it is in a block.

        Raises `Refused` if the contract reverts, the account cannot pay, or the fees are above the cap;
        `ChainUnreachable` if the chain does not answer or takes too long. Only the last case leaves it open
        whether the call will happen; calling again with the same `call` finds out and never posts it twice.
        """
        async with self._locks.setdefault(key.address, trio.Lock()):
            pending = await self._prepare(key.address, call)
            with trio.move_on_after(self._pacing.give_up_seconds) as patience:
                receipt = await self._push(key, pending)
            if patience.cancelled_caught:
                raise self._unsettled(pending)
            self._pending.pop(key.address, None)
        await self._check_success(key.address, call, receipt)
        return receipt

    async def _prepare(self, sender: Address, call: Call) -> _Pending:
        """Nonce, gas and fees; of the earlier attempt if this call has one."""
        earlier = self._pending.get(sender)
        if earlier and earlier.call == call:
            return earlier
        gas = await self._chain.estimate(sender, call)
        nonce = await self._chain.nonce(sender)
        fees = await self._chain.fees()
        if earlier and earlier.nonce == nonce:  # still waiting: this call takes its place
            fees = Fees(*map(max, _pair(fees), _pair(earlier.fees.raised())))
        if fees.most > self._pacing.max_fee_wei:
            raise Refused(
                f"gas costs {fees.most} wei, more than the {self._pacing.max_fee_wei} allowed",
                reason="fees above the cap",
                remedy="Wait for the chain to calm down, or raise the cap.",
            )
        return _Pending(call, nonce, gas + gas // 4, fees)

    async def _push(self, key: Key, pending: _Pending) -> Receipt:
        """Send, look, wait, and raise the fees from time to time, until there is a receipt."""
        while True:
            draft = Draft(pending.call, pending.nonce, pending.gas, pending.fees)
            raw, transaction = self._chain.sign(key, draft)
            if transaction not in pending.hashes:
                pending.hashes.append(transaction)
            self._pending[key.address] = pending
            with trio.move_on_after(self._pacing.bump_seconds):
                if receipt := await self._watch(key.address, pending, raw):
                    return receipt
            if pending.fees.raised().most <= self._pacing.max_fee_wei:
                pending.fees = pending.fees.raised()
                log.info("transaction %s waits; raising its fees", prefixed(transaction))

    async def _watch(self, sender: Address, pending: _Pending, raw: bytes) -> Receipt | None:
        """Send the same bytes and look for a receipt, again and again. A lost connection is no reason to stop.

        None if the fees must be raised for the bytes to be taken at all.
        """
        while True:
            trouble = ""
            try:
                trouble = await self._chain.broadcast(raw)
                if receipt := await self._find(pending):
                    return receipt
                if trouble:
                    await self._check_hope(sender, pending, trouble)
            except ChainUnreachable as error:
                log.info("chain unreachable while a transaction is on its way: %s", error.message)
            await trio.sleep(self._pacing.poll_seconds)
            if _is_underpriced(trouble):
                return None

    async def _find(self, pending: _Pending) -> Receipt | None:
        for transaction in reversed(pending.hashes):
            if receipt := await self._chain.receipt(transaction):
                return receipt
        return None

    async def _check_hope(self, sender: Address, pending: _Pending, trouble: str) -> None:
        """Return if the transaction is in a block or may still get there; else forget it and raise `Refused`."""
        if await self._chain.nonce(sender) > pending.nonce:
            for _ in range(RECEIPT_POLLS):
                if await self._find(pending):
                    return
                await trio.sleep(self._pacing.poll_seconds)
            remedy: str | None = "Call again, and let only one program post with this key."
            message = f"another transaction of {prefixed(sender)} took nonce {pending.nonce}; this one is void"
        elif _is_underpriced(trouble) or await self._is_any_known(pending):
            return
        else:
            message, remedy = f"the chain does not take the transaction: {trouble}", _remedy(sender, trouble)
        self._pending.pop(sender, None)
        raise Refused(message, reason=trouble, remedy=remedy)

    async def _is_any_known(self, pending: _Pending) -> bool:
        for transaction in pending.hashes:
            if await self._chain.is_known(transaction):
                return True
        return False

    async def _check_success(self, sender: Address, call: Call, receipt: Receipt) -> None:
        if not receipt.succeeded:
            await self._chain.estimate(sender, call)  # raises with the reason, if it is still the same
            raise refused("reverted, and would not any more: the state has changed since")

    def _unsettled(self, pending: _Pending) -> ChainUnreachable:
        return ChainUnreachable(
            f"transaction {prefixed(pending.hashes[-1])} was sent, but was in no block within "
            f"{self._pacing.give_up_seconds:g} s",
            remedy="Make the same call again: it looks for this transaction first and never posts it twice.",
        )


def _remedy(sender: Address, trouble: str) -> str | None:
    """Every client says it in these words when the sender cannot pay."""
    if "insufficient funds" not in trouble:
        return None
    return f"Send coins to {prefixed(sender)}, which pays the gas; on a devnet with `tallynet devnet fund`."


def _is_underpriced(trouble: str) -> bool:
    """Every client has this word in its answer when a replacement, or a first try, pays too little."""
    return "underpriced" in trouble


def _pair(fees: Fees) -> tuple[int, int]:
    return fees.most, fees.tip
