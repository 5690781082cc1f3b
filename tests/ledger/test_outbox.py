"""No transaction is posted twice, whatever the connection does: against a chain that misbehaves on command.

Time is trio's autojump clock (every test must name it for pytest-trio to see it): waiting costs nothing here.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tallynet.ledger.history import Receipt
from tallynet.ledger.outbox import Call, Draft, Fees, Outbox, Pacing
from tallynet.protocol.errors import ChainUnreachable, Refused
from tallynet.protocol.keys import Key
from tallynet.protocol.units import ZERO_DIGEST, Address, Digest, Wei, prefixed

KEY, OTHER_KEY = Key(b"\x01" * 32), Key(b"\x02" * 32)
CALL = Call(Address(bytes(20)), b"call", Wei(0))
OTHER_CALL = Call(Address(bytes(20)), b"other call", Wei(0))
PACING = Pacing(give_up_seconds=100, bump_seconds=30, poll_seconds=1, max_fee_wei=1000)


@dataclass
class FakeChain:
    """Takes one transaction per sender and nonce, as a chain does; a test says when blocks come and what fails."""

    mines: Callable[[Draft], bool] = lambda draft: True
    """Whether a transaction that arrives gets into a block at once."""
    failing: list[str] = field(default_factory=list)
    """Names of methods whose next calls end in `ChainUnreachable`, one call each."""
    lost_answers: int = 0
    """So many broadcasts arrive although the sender sees only a broken connection."""
    price: int = 100
    reverts: bool = False
    mined: dict[Digest, Receipt] = field(default_factory=dict)
    waiting: dict[Digest, Draft] = field(default_factory=dict)
    drafts: dict[Digest, tuple[Address, Draft]] = field(default_factory=dict)
    nonces: dict[Address, int] = field(default_factory=dict)
    posted: list[bytes] = field(default_factory=list)
    """Data of the transactions in blocks: what has really happened."""
    broadcasts: list[bytes] = field(default_factory=list)

    async def _answer(self, method: str) -> None:
        await trio.lowlevel.checkpoint()
        if method in self.failing:
            self.failing.remove(method)
            raise ChainUnreachable(f"no answer to {method}")

    async def estimate(self, sender: Address, call: Call) -> int:
        await self._answer("estimate")
        if self.reverts:
            raise Refused("would revert", reason="ledger: no")
        return 1000

    async def nonce(self, sender: Address) -> int:
        await self._answer("nonce")
        return self.nonces.get(sender, 0)

    async def fees(self) -> Fees:
        await self._answer("fees")
        return Fees(self.price, 10)

    def sign(self, key: Key, draft: Draft) -> tuple[bytes, Digest]:
        name = f"{key.address.hex()} {draft.nonce} {draft.fees.most} {draft.call.data!r}".encode()
        transaction = Digest(name.ljust(32))
        self.drafts[transaction] = key.address, draft
        return bytes(transaction), transaction

    async def broadcast(self, raw: bytes) -> str:
        await self._answer("broadcast")
        self.broadcasts.append(raw)
        trouble = self._take(Digest(raw))
        if self.lost_answers:
            self.lost_answers -= 1
            raise ChainUnreachable("the connection broke before the answer")
        return trouble

    async def is_known(self, transaction: Digest) -> bool:
        await self._answer("is_known")
        return transaction in self.waiting or transaction in self.mined

    async def receipt(self, transaction: Digest) -> Receipt | None:
        await self._answer("receipt")
        return self.mined.get(transaction)

    def _take(self, transaction: Digest) -> str:
        sender, draft = self.drafts[transaction]
        if draft.nonce < self.nonces.get(sender, 0):
            return "nonce too low"
        if transaction in self.waiting:
            return "already known"
        rivals = [other for other in self.waiting if self.drafts[other][0] == sender]
        if any(self.waiting[other].fees.most * 9 // 8 > draft.fees.most for other in rivals):
            return "replacement transaction underpriced"
        for other in rivals:
            del self.waiting[other]
        self.waiting[transaction] = draft
        if self.mines(draft):
            self.mine(transaction)
        return ""

    def mine(self, transaction: Digest, *, succeeded: bool = True) -> None:
        sender, draft = self.drafts[transaction]
        self.waiting.pop(transaction, None)
        self.nonces[sender] = draft.nonce + 1
        self.posted.append(draft.call.data)
        block = len(self.posted)
        self.mined[transaction] = Receipt(transaction, block, ZERO_DIGEST, succeeded, 900, (), None)


@pytest.fixture
def chain() -> FakeChain:
    return FakeChain()


@pytest.fixture
def outbox(chain: FakeChain) -> Outbox:
    return Outbox(chain, PACING)


async def test_a_call_is_posted_once(autojump_clock: MockClock, chain: FakeChain, outbox: Outbox) -> None:
    receipt = await outbox.post(KEY, CALL)

    assert chain.posted == [CALL.data]
    assert receipt.gas == 900


async def test_calls_of_one_sender_take_turns(autojump_clock: MockClock, chain: FakeChain, outbox: Outbox) -> None:
    async with trio.open_nursery() as nursery:
        for number in range(5):
            nursery.start_soon(outbox.post, KEY, Call(CALL.to, bytes([number]), Wei(0)))

    assert sorted(chain.posted) == [bytes([number]) for number in range(5)]
    assert [draft.nonce for _, draft in chain.drafts.values()] == [0, 1, 2, 3, 4]


async def test_senders_do_not_wait_for_each_other(autojump_clock: MockClock, chain: FakeChain, outbox: Outbox) -> None:
    chain.mines = lambda draft: draft.call == OTHER_CALL
    with pytest.raises(ExceptionGroup) as failure:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(outbox.post, KEY, CALL)
            await wait_all_tasks_blocked()
            await outbox.post(OTHER_KEY, OTHER_CALL)
            assert trio.current_time() < PACING.bump_seconds
    assert failure.group_contains(ChainUnreachable)


async def test_a_lost_answer_is_followed_by_the_same_bytes_only(
    autojump_clock: MockClock, chain: FakeChain, outbox: Outbox
) -> None:
    chain.lost_answers = 1
    await outbox.post(KEY, CALL)

    assert chain.posted == [CALL.data]
    assert len(chain.broadcasts) == 2
    assert len(set(chain.broadcasts)) == 1


@pytest.mark.parametrize("method", ["broadcast", "receipt", "nonce"])
async def test_a_broken_connection_is_waited_out(
    autojump_clock: MockClock, chain: FakeChain, outbox: Outbox, method: str
) -> None:
    async def interrupt() -> None:
        chain.failing += [method] * 3

    chain.mines = lambda draft: trio.current_time() > 5
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outbox.post, KEY, CALL)
        await trio.sleep(2)
        nursery.start_soon(interrupt)
        await trio.sleep(10)
        for transaction in list(chain.waiting):
            chain.mine(transaction)

    assert chain.posted == [CALL.data]


@pytest.mark.parametrize("method", ["estimate", "nonce", "fees"])
async def test_without_a_connection_nothing_is_sent(
    autojump_clock: MockClock, chain: FakeChain, outbox: Outbox, method: str
) -> None:
    chain.failing = [method]
    with pytest.raises(ChainUnreachable):
        await outbox.post(KEY, CALL)

    assert chain.broadcasts == []
    assert trio.current_time() < 1


async def test_a_receipt_that_comes_late_is_waited_for(
    autojump_clock: MockClock, chain: FakeChain, outbox: Outbox
) -> None:
    chain.mines = lambda draft: False

    async def mine_later() -> None:
        await trio.sleep(20)
        for transaction in list(chain.waiting):
            chain.mine(transaction)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(mine_later)
        await outbox.post(KEY, CALL)

    assert chain.posted == [CALL.data]
    assert len(set(chain.broadcasts)) == 1


async def test_fees_are_raised_under_the_same_nonce(
    autojump_clock: MockClock, chain: FakeChain, outbox: Outbox
) -> None:
    chain.mines = lambda draft: draft.fees.most > 150
    await outbox.post(KEY, CALL)

    assert chain.posted == [CALL.data]
    assert {draft.nonce for _, draft in chain.drafts.values()} == {0}
    assert [draft.fees.most for _, draft in chain.drafts.values()] == [100, 126, 158]
    assert 60 <= trio.current_time() < 65


async def test_the_first_of_several_replacements_may_win(
    autojump_clock: MockClock, chain: FakeChain, outbox: Outbox
) -> None:
    chain.mines = lambda draft: False

    async def mine_the_first() -> None:
        await trio.sleep(40)
        chain.mine(next(iter(chain.drafts)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(mine_the_first)
        receipt = await outbox.post(KEY, CALL)

    assert receipt.transaction == next(iter(chain.drafts))
    assert chain.posted == [CALL.data]


async def test_fees_are_never_raised_above_the_cap(autojump_clock: MockClock, chain: FakeChain) -> None:
    chain.mines = lambda draft: False
    with pytest.raises(ChainUnreachable):
        await Outbox(chain, Pacing(100, 30, 1, max_fee_wei=130)).post(KEY, CALL)

    assert {draft.fees.most for _, draft in chain.drafts.values()} == {100, 126}


async def test_a_price_above_the_cap_is_refused(autojump_clock: MockClock, chain: FakeChain, outbox: Outbox) -> None:
    chain.price = PACING.max_fee_wei + 1
    with pytest.raises(Refused, match="more than the 1000 allowed"):
        await outbox.post(KEY, CALL)

    assert chain.broadcasts == []


async def test_what_is_not_seen_in_time_is_named_and_found_by_the_next_call(
    autojump_clock: MockClock, chain: FakeChain, outbox: Outbox
) -> None:
    chain.mines = lambda draft: False
    with pytest.raises(ChainUnreachable, match=r"transaction 0x[0-9a-f]+ was sent"):
        await outbox.post(KEY, CALL)
    chain.mine(next(iter(chain.waiting)))
    await outbox.post(KEY, CALL)

    assert chain.posted == [CALL.data]


async def test_another_call_takes_the_place_of_one_that_is_stuck(
    autojump_clock: MockClock, chain: FakeChain, outbox: Outbox
) -> None:
    chain.mines = lambda draft: draft.call == OTHER_CALL
    with pytest.raises(ChainUnreachable):
        await outbox.post(KEY, CALL)
    await outbox.post(KEY, OTHER_CALL)

    assert chain.posted == [OTHER_CALL.data]
    assert {draft.nonce for _, draft in chain.drafts.values()} == {0}


async def test_after_a_restart_a_stuck_transaction_is_outbid(
    autojump_clock: MockClock, chain: FakeChain, outbox: Outbox
) -> None:
    chain.mines = lambda draft: False
    with pytest.raises(ChainUnreachable):
        await outbox.post(KEY, CALL)
    chain.mines = lambda draft: True
    await Outbox(chain, PACING).post(KEY, CALL)

    assert chain.posted == [CALL.data]


async def test_a_cancelled_call_is_taken_up_again(autojump_clock: MockClock, chain: FakeChain, outbox: Outbox) -> None:
    chain.mines = lambda draft: False
    with trio.move_on_after(10):
        await outbox.post(KEY, CALL)
    chain.mine(next(iter(chain.waiting)))
    await outbox.post(KEY, CALL)

    assert chain.posted == [CALL.data]


async def test_a_nonce_that_another_program_took_voids_the_transaction(
    autojump_clock: MockClock, chain: FakeChain, outbox: Outbox
) -> None:
    _, rival = chain.sign(KEY, Draft(OTHER_CALL, 0, 1000, Fees(500, 10)))
    chain.waiting[rival] = chain.drafts[rival][1]

    async def mine_the_rival() -> None:
        await trio.sleep(5)
        chain.mine(rival)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(mine_the_rival)
        with pytest.raises(Refused, match="took nonce 0"):
            await outbox.post(KEY, CALL)
    await outbox.post(KEY, CALL)

    assert chain.posted == [OTHER_CALL.data, CALL.data]


async def test_a_chain_that_wants_nothing_of_it_is_believed(
    autojump_clock: MockClock, chain: FakeChain, outbox: Outbox
) -> None:
    class Poor(FakeChain):
        def _take(self, transaction: Digest) -> str:
            return "insufficient funds for gas * price + value"

    with pytest.raises(Refused) as refusal:
        await Outbox(Poor(), PACING).post(KEY, CALL)
    assert refusal.value.reason == "insufficient funds for gas * price + value"
    assert f"Send coins to {prefixed(KEY.address)}" in refusal.value.remedy


async def test_a_call_that_would_revert_is_not_sent(
    autojump_clock: MockClock, chain: FakeChain, outbox: Outbox
) -> None:
    chain.reverts = True
    with pytest.raises(Refused) as refusal:
        await outbox.post(KEY, CALL)

    assert refusal.value.reason == "ledger: no"
    assert chain.broadcasts == []


async def test_a_call_that_reverted_in_its_block_tells_the_reason(
    autojump_clock: MockClock, chain: FakeChain, outbox: Outbox
) -> None:
    chain.mines = lambda draft: False

    async def revert() -> None:
        await trio.sleep(1)
        chain.reverts = True
        chain.mine(next(iter(chain.waiting)), succeeded=False)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(revert)
        with pytest.raises(Refused) as refusal:
            await outbox.post(KEY, CALL)
    assert refusal.value.reason == "ledger: no"
