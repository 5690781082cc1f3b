"""Receipts a second: logged durably, then signed; many at the same time against one after the other."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import trio

from tallynet.node.journal import Journal, open_journal
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.keys import Key
from tallynet.protocol.leaf import Leaf, Status
from tallynet.protocol.receipt import sign_receipt
from tallynet.protocol.units import Address, Digest, JobId, Milliseconds, ModelId, Seconds, Signature, Wei
from tests.benchmarks.report import Row, compare

AT_ONCE = 64
DOMAIN = Domain(1337, Address(bytes(20)))
ANCHOR_BY = Seconds(2**31)
ANSWER = bytes(4096)
"""About what 200 tokens take as frames."""


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
            sign_receipt(leaf, index, ANCHOR_BY, DOMAIN, key)

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(lines):
            nursery.start_soon(make)
    return lines * each / (trio.current_time() - began)


def _leaves() -> Iterator[Leaf]:
    """Leaves of different jobs."""
    return (make_leaf(number) for number in itertools.count(1))


def make_leaf(number: int) -> Leaf:
    """A leaf like any other, of job `number`."""
    word = Digest(number.to_bytes(32, "big"))
    return Leaf(
        job=JobId(word),
        client=Address(word[:20]),
        model=ModelId(word),
        runtime=word,
        params=word,
        request=word,
        output=word,
        prompt_tokens=20,
        completion_tokens=200,
        price=Wei(200_000),
        started=Milliseconds(1_700_000_000_000),
        ended=Milliseconds(1_700_000_001_000),
        status=Status.LENGTH,
        trace=word,
        client_signature=Signature(word + word + b"\x1b"),
    )
