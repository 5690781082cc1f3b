"""Events are read in bounded ranges, and none from a block that the chain no longer has."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256

import pytest
import trio

from tallynet.ledger.directory import Directory
from tallynet.ledger.events import ANCHORED, Log
from tallynet.ledger.history import SETTLED_BLOCKS, Block, History, Receipt
from tallynet.protocol.errors import ChainUnreachable
from tallynet.protocol.units import Address, Digest, Seconds

CONTRACT = Address(bytes(20))
SPAN = 10


def block_hash(number: int, branch: str) -> Digest:
    return Digest(sha256(f"{branch}{number}".encode()).digest())


@dataclass
class FakeChain:
    """Blocks from 0 to `height`; one log in each of `filled`. A new `branch` replaces all blocks."""

    height: int = 100
    filled: Sequence[int] = (3, 40, 99)
    branch: str = "a"
    unstable: int = 0
    """So many times the chain changes its branch while logs are read."""
    asked: list[tuple[int, int]] = field(default_factory=list)
    looked_up: int = 0

    async def latest(self) -> Block:
        await trio.lowlevel.checkpoint()
        return Block(self.height, block_hash(self.height, self.branch), Seconds(self.height), 0)

    async def block(self, number: int) -> Block | None:
        await trio.lowlevel.checkpoint()
        self.looked_up += 1
        return Block(number, block_hash(number, self.branch), Seconds(1000 + number), 0)

    async def receipt(self, transaction: Digest) -> Receipt | None:
        await trio.lowlevel.checkpoint()
        number = transaction[0]
        return Receipt(transaction, number, block_hash(number, self.branch), True, 50_000, (), None)

    async def logs(self, topics: Sequence[Digest], first: int, last: int) -> list[Log]:
        await trio.lowlevel.checkpoint()
        self.asked.append((first, last))
        branch = self.branch
        if self.unstable and last == self.height:
            self.unstable -= 1
            self.branch += "'"
        return [
            Log(CONTRACT, tuple(topics), b"", number, block_hash(number, branch), Digest(bytes([number]) * 32))
            for number in self.filled
            if first <= number <= last
        ]


def history(chain: FakeChain, first_block: int = 0) -> History:
    return History(chain, first_block=first_block, span=SPAN)


async def test_events_come_oldest_first_with_time_and_gas() -> None:
    found = await history(FakeChain()).mined([ANCHORED], 0)

    assert [mined.log.block for mined in found] == [3, 40, 99]
    assert [mined.time for mined in found] == [1003, 1040, 1099]
    assert {mined.gas for mined in found} == {50_000}


async def test_no_question_spans_more_blocks_than_allowed() -> None:
    chain = FakeChain()
    await history(chain, first_block=15).mined([ANCHORED], 0)

    assert chain.asked[0] == (15, 24)
    assert chain.asked[-1] == (95, 100)
    assert all(last - first < SPAN for first, last in chain.asked)
    assert [first for first, _ in chain.asked[1:]] == [last + 1 for _, last in chain.asked[:-1]]


async def test_a_reorganisation_while_reading_is_read_again() -> None:
    chain = FakeChain(unstable=2)
    found = await history(chain).mined([ANCHORED], 0)

    assert [mined.log.block_hash for mined in found] == [block_hash(number, "a''") for number in (3, 40, 99)]


async def test_a_chain_that_does_not_hold_still_is_an_error() -> None:
    with pytest.raises(ChainUnreachable, match="three times"):
        await history(FakeChain(unstable=3)).mined([ANCHORED], 0)


async def test_only_unsettled_blocks_are_looked_up_twice() -> None:
    chain = FakeChain(filled=[3, 100 - SETTLED_BLOCKS, 101 - SETTLED_BLOCKS, 99])
    reader = history(chain)
    first = await reader.mined([ANCHORED], 0)
    chain.looked_up = 0

    assert await reader.mined([ANCHORED], 0) == first
    assert chain.looked_up == 2


async def test_the_newest_is_looked_for_backwards() -> None:
    chain = FakeChain()
    found = await history(chain).newest([ANCHORED], lambda log: log.block < 99)

    assert found is not None
    assert found.log.block == 40
    assert chain.asked[0] == (91, 100)
    assert chain.asked[-1] == (31, 40)


async def test_the_search_for_the_newest_ends() -> None:
    chain = FakeChain()

    assert await history(chain).newest([ANCHORED], lambda log: False, spans=2) is None
    assert len(chain.asked) == 2
    assert await history(chain, first_block=55).newest([ANCHORED], lambda log: False) is None
    assert chain.asked[-1] == (55, 60)


async def test_the_newest_is_not_one_that_the_chain_lost() -> None:
    assert await history(FakeChain(filled=[99], unstable=1)).newest([ANCHORED], lambda log: True) is None


async def test_the_directory_reads_settled_blocks_once() -> None:
    chain = FakeChain(filled=[])
    directory = Directory(history(chain))
    await directory.read(chain.height)
    chain.asked.clear()
    chain.height += 1
    await directory.read(chain.height)

    assert chain.asked[0] == (101 - SETTLED_BLOCKS, 101 - SETTLED_BLOCKS)
    assert chain.asked[1][0] == 102 - SETTLED_BLOCKS
    assert chain.asked[-1][1] == 101
