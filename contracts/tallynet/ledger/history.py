"""What has happened on the chain, read from its events in bounded ranges and checked against reorganisations.

A chain may replace its last blocks. Storage and events of a replaced block are gone; a log that was read just
before may linger in a cache or in a slow endpoint. So each log is held against the block and the receipt that the
chain has now, and what is deep enough to stay is remembered.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, Protocol

import trio

from tallynet.ledger.events import Log
from tallynet.protocol.errors import ChainUnreachable
from tallynet.protocol.units import Address, Digest, Seconds

SETTLED_BLOCKS: Final = 64
"""Below this depth a block is taken to stay: two epochs of Ethereum, when blocks are final."""

REMEMBERED: Final = 4096
"""Settled logs whose time and gas are kept in memory."""


@dataclass(frozen=True, slots=True)
class Block:
    number: int
    hash: Digest
    time: Seconds
    base_fee: int
    """Wei per gas that this block burnt (EIP-1559)."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a block says of a transaction in it."""

    transaction: Digest
    block: int
    block_hash: Digest
    succeeded: bool
    gas: int
    """Gas the whole transaction used."""
    logs: tuple[Log, ...]
    contract: Address | None
    """The contract it created, if it created one."""


@dataclass(frozen=True, slots=True)
class Mined:
    """A log with what its block and its receipt add."""

    log: Log
    time: Seconds
    gas: int


class Chain(Protocol):
    """What is asked of a chain here. Every method raises `ChainUnreachable`."""

    async def latest(self) -> Block: ...

    async def block(self, number: int) -> Block | None: ...

    async def receipt(self, transaction: Digest) -> Receipt | None: ...

    async def logs(self, topics: Sequence[Digest], first: int, last: int) -> list[Log]:
        """The contract's logs in blocks `first` to `last`, both included, oldest first."""


class History:
    """Events of one contract. `span` blocks are asked for at a time, as endpoints limit it."""

    def __init__(self, chain: Chain, *, first_block: int, span: int) -> None:
        self._chain = chain
        self._first_block = first_block
        self._span = span
        self._settled: dict[tuple[Digest, Digest], Mined] = {}

    async def logs(self, topics: Sequence[Digest], from_block: int, to_block: int) -> list[Log]:
        """All logs with these topics, oldest first, without a second look."""
        found: list[Log] = []
        for first in range(max(from_block, self._first_block), to_block + 1, self._span):
            found += await self._chain.logs(topics, first, min(first + self._span - 1, to_block))
        return found

    async def mined(self, topics: Sequence[Digest], from_block: int) -> list[Mined]:
        """All logs with these topics that are in the present chain, oldest first."""
        for _ in range(3):
            latest = (await self._chain.latest()).number
            logs = await self.logs(topics, from_block, latest)
            found = await self._locate_all(logs, latest)
            if None not in found:
                return [mined for mined in found if mined]
        raise ChainUnreachable("the chain changed its last blocks three times while they were read")

    async def newest(
        self, topics: Sequence[Digest], wanted: Callable[[Log], bool], *, spans: int | None = None
    ) -> Mined | None:
        """The last log that is `wanted`, looking back `spans` ranges (default: to the contract's first block)."""
        latest = (await self._chain.latest()).number
        for first, last in islice(self._ranges_back(latest), spans):
            for log in reversed(await self._chain.logs(topics, first, last)):
                if wanted(log) and (found := await self.locate(log, latest)):
                    return found
        return None

    async def locate(self, log: Log, latest: int) -> Mined | None:
        """The log with its time and gas; None if the chain no longer has it."""
        key = log.transaction, log.block_hash
        if known := self._settled.get(key):
            return Mined(log, known.time, known.gas)
        block = await self._chain.block(log.block)
        receipt = await self._chain.receipt(log.transaction)
        if block is None or receipt is None or not block.hash == log.block_hash == receipt.block_hash:
            return None
        mined = Mined(log, block.time, receipt.gas)
        if latest - log.block >= SETTLED_BLOCKS:
            self._remember(key, mined)
        return mined

    async def _locate_all(self, logs: Sequence[Log], latest: int) -> list[Mined | None]:
        found: list[Mined | None] = [None] * len(logs)
        failures: list[ChainUnreachable] = []

        async def locate(at: int) -> None:
            try:
                found[at] = await self.locate(logs[at], latest)
            except ChainUnreachable as error:
                failures.append(error)

        async with trio.open_nursery() as nursery:
            for at in range(len(logs)):
                nursery.start_soon(locate, at)
        if failures:
            raise failures[0]
        return found

    def _ranges_back(self, latest: int) -> Iterator[tuple[int, int]]:
        for last in range(latest, self._first_block - 1, -self._span):
            yield max(self._first_block, last - self._span + 1), last

    def _remember(self, key: tuple[Digest, Digest], mined: Mined) -> None:
        if len(self._settled) >= REMEMBERED:
            del self._settled[next(iter(self._settled))]
        self._settled[key] = mined
