"""(5) The log is open to everyone, and proves itself."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tallynet.node.journal import open_journal
from tallynet.node.log_desk import LogDesk
from tallynet.protocol import merkle
from tallynet.protocol.checkpoint import verify_checkpoint
from tallynet.protocol.errors import InvalidProof, Refused
from tallynet.protocol.receipt import verify_receipt
from tallynet.protocol.units import JobId
from tallynet.protocol.wire import (
    AskCheckpoint,
    AskConsistency,
    AskEntries,
    AskInclusion,
    AskReceipt,
    Entries,
    Finished,
    Head,
    LogAsk,
    ProofPath,
)
from tests.node.examples import DOMAIN, NODE, append, valid_leaf

SIZE = 7


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[LogDesk]:
    with open_journal(tmp_path, NODE.address, DOMAIN) as journal:
        for number in range(SIZE):
            await append(journal, number)
        yield LogDesk(NODE, DOMAIN, journal)


async def test_checkpoint(desk: LogDesk) -> None:
    answer = await desk.answer(AskCheckpoint())

    assert isinstance(answer, Head)
    head = verify_checkpoint(answer.signed, DOMAIN, NODE.address)
    assert (head.size, head.root) == (SIZE, merkle.root([valid_leaf(number).hash for number in range(SIZE)]))


@pytest.mark.parametrize(
    ("start", "count", "expected"), [(0, 7, range(7)), (5, 1024, range(5, 7)), (2, 3, range(2, 5)), (7, 1, range(0))]
)
async def test_entries(desk: LogDesk, start: int, count: int, expected: range) -> None:
    answer = await desk.answer(AskEntries(start, count))

    assert answer == Entries(start, tuple(valid_leaf(number).pack() for number in expected))


async def test_inclusion(desk: LogDesk) -> None:
    for size in range(1, SIZE + 1):
        for index in range(size):
            answer = await desk.answer(AskInclusion(index, size))
            assert isinstance(answer, ProofPath)
            root = desk.journal.tree.root(size)
            merkle.verify_inclusion(valid_leaf(index).hash, index, size, answer.path, root)


async def test_consistency(desk: LogDesk) -> None:
    tree = desk.journal.tree
    for new in range(1, SIZE + 1):
        for old in range(1, new + 1):
            answer = await desk.answer(AskConsistency(old, new))
            assert isinstance(answer, ProofPath)
            merkle.verify_consistency(old, tree.root(old), new, tree.root(new), answer.path)


async def test_receipt(desk: LogDesk) -> None:
    answer = await desk.answer(AskReceipt(valid_leaf(3).job))

    assert isinstance(answer, Finished)
    receipt = verify_receipt(answer.receipt, DOMAIN, NODE.address)
    assert (receipt.leaf, receipt.receipt.index) == (valid_leaf(3), 3)


@pytest.mark.parametrize(
    "ask",
    [
        AskInclusion(0, 0),
        AskInclusion(3, 3),
        AskInclusion(7, 8),
        AskInclusion(2**40, 2**40),
        AskConsistency(0, 3),
        AskConsistency(4, 3),
        AskConsistency(1, 8),
    ],
    ids=repr,
)
async def test_a_proof_that_there_cannot_be(desk: LogDesk, ask: LogAsk) -> None:
    with pytest.raises(InvalidProof, match="of a log of 7 entries"):
        await desk.answer(ask)


async def test_a_job_that_is_not_in_the_log(desk: LogDesk) -> None:
    with pytest.raises(Refused, match="not in this log"):
        await desk.answer(AskReceipt(JobId(bytes(31) + b"\xff")))
