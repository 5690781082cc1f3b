"""(5) The log's head reaches the contract by age or by count, whatever the chain does meanwhile."""

from collections.abc import Iterable, Sequence

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from tallynet.ledger import Anchor, MemoryLedger
from tallynet.node.anchoring import Anchoring
from tallynet.node.metrics import Metrics
from tallynet.protocol import merkle
from tallynet.protocol.errors import ChainUnreachable, InvalidCheckpoint, Misconfigured
from tallynet.protocol.keys import Key
from tallynet.protocol.units import Digest, Wei
from tests.node.examples import NODE, STRANGER, PaperJournal, clock, valid_leaf

STAKE = Wei(10**18)


class FlakyLedger(MemoryLedger):
    """Does not answer the next `failures` anchors."""

    failures = 0
    attempts = 0

    async def anchor(self, node: Key, size: int, root: Digest, proof: Sequence[Digest]) -> Anchor:
        self.attempts += 1
        if self.failures:
            self.failures -= 1
            raise ChainUnreachable("the RPC port is closed")
        return await super().anchor(node, size, root, proof)


@pytest.fixture
async def ledger() -> FlakyLedger:
    ledger = FlakyLedger(clock=lambda: clock() / 1000)
    await ledger.register(STRANGER, NODE, STAKE, "")
    return ledger


def anchoring(
    ledger: MemoryLedger, *, entries: Iterable[int] = (), seconds: float = 300.0, count: int = 1000
) -> Anchoring:
    return Anchoring(NODE, ledger, PaperJournal(entries), Metrics(), clock, seconds, count)


def write(one: Anchoring, number: int) -> None:
    """Another entry in the log that is being anchored."""
    assert isinstance(one.journal, PaperJournal)
    one.journal.write(number)


async def run_for(one: Anchoring, seconds: float) -> None:
    with trio.move_on_after(seconds):
        await one.run()


async def test_an_empty_log_is_not_anchored(autojump_clock: MockClock, ledger: FlakyLedger) -> None:
    one = anchoring(ledger)
    await run_for(one, 1000)

    assert ledger.attempts == 0


async def test_by_age(autojump_clock: MockClock, ledger: FlakyLedger) -> None:
    one = anchoring(ledger, entries=range(3))
    await run_for(one, 299)
    assert one.anchored == 0
    await run_for(one, 302)
    assert one.anchored == 3

    (anchor,) = await ledger.anchors(NODE.address)
    assert (anchor.size, anchor.root) == (3, merkle.root([valid_leaf(number).hash for number in range(3)]))


async def test_the_age_is_that_of_the_first_entry(autojump_clock: MockClock, ledger: FlakyLedger) -> None:
    one = anchoring(ledger)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.run)
        await trio.sleep(200)
        write(one, 0)
        await trio.sleep(200)
        write(one, 1)
        assert ledger.attempts == 0
        await trio.sleep(101)
        assert (ledger.attempts, one.anchored) == (1, 2)
        nursery.cancel_scope.cancel()


async def test_by_count(autojump_clock: MockClock, ledger: FlakyLedger) -> None:
    one = anchoring(ledger, entries=range(4), count=5)
    await run_for(one, 2)
    assert one.anchored == 0
    write(one, 4)
    await run_for(one, 2)
    assert one.anchored == 5


async def test_later_anchors_extend_earlier_ones(autojump_clock: MockClock, ledger: FlakyLedger) -> None:
    """The ledger itself checks the consistency proofs."""
    one = anchoring(ledger, count=1)
    for number in range(5):
        write(one, number)
        await one.anchor()

    assert [anchor.size for anchor in await ledger.anchors(NODE.address)] == [1, 2, 3, 4, 5]


async def test_what_is_anchored_already_is_not_posted_again(ledger: FlakyLedger) -> None:
    one = anchoring(ledger, entries=range(2))
    await one.anchor()
    await one.anchor()

    assert ledger.attempts == 1


async def test_again_and_again_until_the_chain_answers(autojump_clock: MockClock, ledger: FlakyLedger) -> None:
    ledger.failures = 4
    one = anchoring(ledger, entries=range(1), count=1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.run)
        await trio.sleep(2)
        assert "the RPC port is closed" in one.last_error
        assert one.anchored == 0

        await trio.sleep(1 + 2 + 4 + 8)
        assert (one.anchored, one.last_error) == (1, "")
        assert b"tallynet_anchor_failures_total 4.0" in one.metrics.text()
        nursery.cancel_scope.cancel()


async def test_the_pause_between_tries_is_a_minute_at_most(autojump_clock: MockClock, ledger: FlakyLedger) -> None:
    ledger.failures = 10**9
    one = anchoring(ledger, entries=range(1), count=1)
    await run_for(one, 3600)

    assert 60 <= ledger.attempts <= 70


async def test_again_until_the_contract_accepts(autojump_clock: MockClock) -> None:
    ledger = MemoryLedger()
    one = anchoring(ledger, entries=range(1), count=1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.run)
        await trio.sleep(5)
        assert "node is not registered" in one.last_error

        await ledger.register(STRANGER, NODE, STAKE, "")
        await trio.sleep(60)
        assert one.anchored == 1
        nursery.cancel_scope.cancel()


async def test_an_anchor_that_a_reorganisation_took_away_is_posted_again(
    autojump_clock: MockClock, ledger: FlakyLedger
) -> None:
    one = anchoring(ledger, entries=range(2), count=2)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.run)
        await trio.sleep(1)
        assert (await ledger.head(NODE.address)).size == 2

        ledger.rewind(1)
        assert (await ledger.head(NODE.address)).size == 0
        await trio.sleep(302)
        assert (await ledger.head(NODE.address)).size == 2
        nursery.cancel_scope.cancel()


async def test_a_start_goes_on_from_the_contracts_head(ledger: FlakyLedger) -> None:
    one = anchoring(ledger, entries=range(3))
    assert (await one.check_start()).size == 0
    await one.anchor()

    restarted = anchoring(ledger, entries=range(4))
    assert (await restarted.check_start()).size == 3
    assert restarted.anchored == 3


async def test_an_old_backup_is_not_started(ledger: FlakyLedger) -> None:
    one = anchoring(ledger, entries=range(3))
    await one.anchor()

    old = anchoring(ledger, entries=range(2))
    with pytest.raises(Misconfigured, match="knows 3 entries of this node's log, the log here has 2"):
        await old.check_start()


async def test_another_history_is_not_started(ledger: FlakyLedger) -> None:
    one = anchoring(ledger, entries=range(3))
    await one.anchor()

    other = anchoring(ledger, entries=(0, 1, 9, 3))
    with pytest.raises(Misconfigured, match="root of the first 3 entries"):
        await other.check_start()


@pytest.mark.parametrize("numbers", [(0, 1), (0, 1, 9), (0, 1, 9, 3)], ids=["behind", "beside", "ahead"])
async def test_a_second_instance_is_noticed_by_its_anchor(ledger: FlakyLedger, numbers: Sequence[int]) -> None:
    other = anchoring(ledger, entries=numbers)
    await other.check_start()
    one = anchoring(ledger, entries=range(3))
    await one.anchor()

    with pytest.raises(InvalidCheckpoint, match="another instance anchors"):
        await other.anchor()
