"""What the ledger in memory has beyond the promise: blocks and time in the hands of a test."""

from collections.abc import Iterator

from tallynet.ledger.memory import MemoryLedger
from tests.ledger.worlds import ETHER, MULTIADDR, NODE, OPERATOR, TREE


async def registered(ledger: MemoryLedger) -> MemoryLedger:
    await ledger.register(OPERATOR, NODE, ETHER, MULTIADDR)
    return ledger


async def test_rewinding_takes_the_last_blocks_with_all_they_hold() -> None:
    ledger = await registered(MemoryLedger())
    await ledger.anchor(NODE, 7, TREE.root(7), [])
    await ledger.anchor(NODE, 9, TREE.root(9), TREE.consistency(7, 9))
    ledger.rewind(1)

    assert (await ledger.head(NODE.address)).size == 7
    assert [anchor.size for anchor in await ledger.anchors(NODE.address)] == [7]
    ledger.rewind(2)
    assert await ledger.nodes() == []


async def test_rewinding_stops_at_the_first_block() -> None:
    ledger = await registered(MemoryLedger())
    ledger.rewind(100)

    assert await ledger.block_number() == 0


async def test_a_block_that_takes_the_place_of_another_has_another_hash() -> None:
    ledger = await registered(MemoryLedger())
    first = await ledger.anchor(NODE, 7, TREE.root(7), [])
    ledger.rewind(1)
    second = await ledger.anchor(NODE, 7, TREE.root(7), [])

    assert first.block == second.block
    assert first.block_hash != second.block_hash
    assert first.transaction != second.transaction


async def test_block_times_follow_the_clock_and_never_go_back() -> None:
    times: Iterator[int] = iter([100, 150, 120, 160])
    ledger = MemoryLedger(clock=lambda: next(times))
    seen = [await ledger.now()]
    for _ in range(3):
        ledger.mine()
        seen.append(await ledger.now())

    assert seen == [100, 150, 150, 160]
