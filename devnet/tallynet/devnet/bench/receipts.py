"""Receipts a second: logged durably, then signed; many at the same time against one after the other."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import trio

from tallynet.devnet.bench.leaves import ANCHOR_BY, ANSWER, DOMAIN, make_leaf
from tallynet.devnet.bench.report import Row, compare
from tallynet.node.journal import Journal, open_journal
from tallynet.node.signing import promise
from tallynet.protocol.keys import Key
from tallynet.protocol.leaf import Leaf

AT_ONCE = 64


async def measure_receipts(folder: Path, rounds: int, count: int) -> Row:
    """Rounds of `count` receipts each; `count` is a multiple of AT_ONCE. The journal synchronises as a node's does."""
    key, leaves = Key.generate(), _leaves()
    with open_journal(folder, key.address, DOMAIN) as journal:
        pairs = []
        for _ in range(rounds):
            alone = await _rate(journal, key, leaves, lines=1, each=count // 8)
            pairs.append((alone, await _rate(journal, key, leaves, lines=AT_ONCE, each=count // AT_ONCE)))
    return compare("receipts_per_second", "receipts, durable: 64 at once / 1", "/s", pairs)


async def _rate(journal: Journal, key: Key, leaves: Iterator[Leaf], *, lines: int, each: int) -> float:
    """Receipts a second, when `lines` tasks make `each` one after the other."""

    async def make() -> None:
        for _ in range(each):
            leaf = next(leaves)
            index = await journal.append(leaf, ANCHOR_BY, ANSWER, ANCHOR_BY)
            promise(journal, leaf, index, ANCHOR_BY, DOMAIN, key)

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(lines):
            nursery.start_soon(make)
    return lines * each / (trio.current_time() - began)


def _leaves() -> Iterator[Leaf]:
    """Leaves of different jobs."""
    return (make_leaf(number) for number in itertools.count(1))
