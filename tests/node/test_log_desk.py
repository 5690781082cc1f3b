"""(5) The log is open to everyone, and proves itself."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tallynet.network.frames import LOG_ANSWER, receive_frame, send_frame
from tallynet.network.memory import MemoryNetwork, MemoryTransport
from tallynet.network.transport import PeerAddress
from tallynet.node.journal import open_journal
from tallynet.node.log_desk import LogDesk
from tallynet.protocol import merkle
from tallynet.protocol.checkpoint import verify_checkpoint
from tallynet.protocol.errors import InvalidFrame, InvalidProof, Refused
from tallynet.protocol.keys import Key
from tallynet.protocol.note import read_checkpoint_note, read_key_note
from tallynet.protocol.note_key import NoteKey
from tallynet.protocol.receipt import verify_receipt
from tallynet.protocol.tiles import Tile, read_bundle, read_tile
from tallynet.protocol.units import JobId
from tallynet.protocol.wire import (
    LOG_PROTOCOL,
    AskCheckpoint,
    AskConsistency,
    AskFile,
    AskInclusion,
    AskReceipt,
    File,
    Finished,
    Head,
    LogAnswer,
    LogAsk,
    ProofPath,
    Rejected,
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


@pytest.mark.parametrize("width", range(1, SIZE + 1))
async def test_an_entry_bundle_of_every_width(desk: LogDesk, width: int) -> None:
    tile = Tile(None, 0, width)
    answer = await desk.answer(AskFile(str(tile)))

    assert isinstance(answer, File)
    assert read_bundle(answer.data, tile) == [valid_leaf(number).pack() for number in range(width)]


@pytest.mark.parametrize("width", range(1, SIZE + 1))
async def test_a_tile_of_every_width(desk: LogDesk, width: int) -> None:
    tile = Tile(0, 0, width)

    assert read_tile(await desk.file(str(tile)), tile) == [valid_leaf(number).hash for number in range(width)]


@pytest.mark.parametrize(
    "path", ["tile/0/000", "tile/0/000.p/8", "tile/entries/000.p/8", "tile/0/001.p/1", "tile/1/000.p/1"]
)
async def test_a_file_that_is_not_there_yet(desk: LogDesk, path: str) -> None:
    with pytest.raises(Refused, match="the log has no tile/"):
        await desk.answer(AskFile(path))


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "head",
        "checkpoint/",
        "checkpoint/0",
        "checkpoint/07",
        "../log.sqlite",
        "tile/0/0",
        "tile/0/x000/000.p/1",
    ],
)
async def test_a_path_of_no_file(desk: LogDesk, path: str) -> None:
    with pytest.raises(InvalidFrame):
        await desk.answer(AskFile(path))


async def test_the_checkpoint_as_a_note_signed_by_both_keys(desk: LogDesk) -> None:
    note_key = read_key_note(await desk.file("vkey"), DOMAIN, NODE.address)

    signed = read_checkpoint_note(await desk.file("checkpoint"), DOMAIN, NODE.address, note_key)

    assert (signed.checkpoint.size, signed.checkpoint.root) == (SIZE, desk.journal.tree.root())
    assert note_key == NoteKey.of(NODE).public


async def test_the_note_follows_the_log(desk: LogDesk) -> None:
    await append(desk.journal, SIZE)

    assert read_checkpoint_note(await desk.file("checkpoint"), DOMAIN, NODE.address).checkpoint.size == SIZE + 1


@pytest.mark.parametrize("size", range(1, SIZE + 1))
async def test_the_head_as_it_was(desk: LogDesk, size: int) -> None:
    signed = read_checkpoint_note(await desk.file(f"checkpoint/{size}"), DOMAIN, NODE.address)

    assert (signed.checkpoint.size, signed.checkpoint.root) == (size, desk.journal.tree.root(size))


@pytest.mark.parametrize("size", [SIZE + 1, 10**12, 10**13 - 1])
async def test_a_head_that_is_not_yet(desk: LogDesk, size: int) -> None:
    with pytest.raises(Refused, match=f"the log has no {size} entries yet"):
        await desk.file(f"checkpoint/{size}")


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


async def test_questions_and_answers_in_turn_on_one_stream(desk: LogDesk) -> None:
    network = MemoryNetwork()
    node, reader = MemoryTransport(network, NODE), MemoryTransport(network, Key.generate(), listen=False)
    node.serve(LOG_PROTOCOL, desk.serve)
    async with node.run(), reader.run():
        stream = await reader.open(PeerAddress(node.peer, node.addresses), LOG_PROTOCOL)
        answers: list[LogAnswer] = []
        asks: list[LogAsk] = [AskCheckpoint(), AskFile("tile/9"), AskInclusion(0, SIZE)]
        async with stream:
            for ask in asks:
                await send_frame(stream, ask)
                answers.append(await receive_frame(stream, LOG_ANSWER, seconds=5))

    assert [type(answer) for answer in answers] == [Head, Rejected, ProofPath]
