"""Reading a log over the network: everything that comes is checked against signatures and names before it is given."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import trio

from tallynet.network.frames import LOG_ASK, EndOfStream, receive_frame, send_frame
from tallynet.network.log_reader import LogReader
from tallynet.network.memory import MemoryNetwork, MemoryTransport
from tallynet.network.transport import PeerAddress, Stream
from tallynet.protocol import merkle
from tallynet.protocol.checkpoint import Checkpoint, sign_checkpoint
from tallynet.protocol.errors import Busy, Invalid, InvalidCheckpoint, InvalidFrame, NodeUnreachable, Refused
from tallynet.protocol.merkle_tree import Tree
from tallynet.protocol.note import write_checkpoint_note, write_key_note
from tallynet.protocol.tiles import Tile, write_bundle, write_tile
from tallynet.protocol.wire import LOG_PROTOCOL, AskCheckpoint, AskFile, File, Frame, Head, LogAsk, ProofPath, Rejected
from tests.protocol.examples import DOMAIN, NODE, STRANGER, valid_leaf

LEAVES = [valid_leaf(prompt_tokens=number).pack() for number in range(300)]
TREE = Tree(map(merkle.leaf_hash, LEAVES))
HEAD = Checkpoint(TREE.size, TREE.root())


@dataclass
class Served:
    """A node that serves these files, and a reader of it."""

    files: dict[str, bytes]
    answer: Callable[[LogAsk], Frame] | None = None
    """Says something else than the truth."""
    asked: list[str] = field(default_factory=list)
    streams: int = 0
    """Opened to it."""
    answers_a_stream: int = 1_000

    @asynccontextmanager
    async def reader(self) -> AsyncIterator[LogReader]:
        network = MemoryNetwork()
        node, client = MemoryTransport(network, NODE), MemoryTransport(network, STRANGER, listen=False)
        node.serve(LOG_PROTOCOL, self.serve)
        async with node.run(), client.run():
            yield LogReader(client, PeerAddress(NODE.peer_id, node.addresses), DOMAIN)

    async def serve(self, stream: Stream) -> None:
        self.streams += 1
        for _ in range(self.answers_a_stream):
            try:
                ask = await receive_frame(stream, LOG_ASK, seconds=10)
            except EndOfStream:
                return
            if isinstance(ask, AskFile):
                self.asked.append(ask.path)
            await send_frame(stream, self.answer(ask) if self.answer is not None else self._tell(ask))

    def _tell(self, ask: LogAsk) -> Frame:
        if isinstance(ask, AskCheckpoint):
            return Head(NODE.address, sign_checkpoint(HEAD, DOMAIN, NODE))
        if isinstance(ask, AskFile) and ask.path in self.files:
            return File(self.files[ask.path])
        return Rejected("refused", 0, "there is no such file")


@pytest.fixture
def served() -> Served:
    """All files of an honest log of 300 leaves."""
    shown = (Tile(0, 0), Tile(0, 1, 44), Tile(1, 0, 1), Tile(None, 0), Tile(None, 1, 44), Tile(None, 0, 10))
    files = {str(tile): bytes_of(tile) for tile in shown}
    heads = {
        "checkpoint": write_checkpoint_note(HEAD, DOMAIN, NODE).encode(),
        "checkpoint/7": write_checkpoint_note(Checkpoint(7, TREE.root(7)), DOMAIN, NODE).encode(),
        "vkey": write_key_note(DOMAIN, NODE).encode(),
    }
    return Served({**files, **heads})


def bytes_of(tile: Tile) -> bytes:
    return write_bundle(LEAVES[tile.start : tile.end]) if tile.level is None else write_tile(TREE, tile)


async def test_a_file_as_it_is(served: Served) -> None:
    async with served.reader() as reader:
        for path, data in served.files.items():
            assert await reader.file(path) == data


async def test_tiles_and_bundles(served: Served) -> None:
    async with served.reader() as reader:
        assert await reader.tile(0, 1, 44) == [merkle.leaf_hash(leaf) for leaf in LEAVES[256:]]
        assert await reader.tile(1, 0, 1) == [TREE.root(256)]
        assert await reader.entry_bundle(0) == LEAVES[:256]


@pytest.mark.parametrize(
    ("start", "count", "expected"),
    [(0, 10, (0, 10)), (0, 1024, (0, 256)), (200, 100, (200, 256)), (256, 44, (256, 300)), (290, 10, (290, 300))],
)
async def test_entries_up_to_the_end_of_their_bundle(
    served: Served, start: int, count: int, expected: tuple[int, int]
) -> None:
    async with served.reader() as reader:
        assert await reader.entries(start, count) == LEAVES[slice(*expected)]


async def test_the_newest_head(served: Served) -> None:
    async with served.reader() as reader:
        assert (await reader.checkpoint()).checkpoint == HEAD
        assert await reader.checkpoint_note() == served.files["checkpoint"].decode()
        assert await reader.checkpoint_note(7) == served.files["checkpoint/7"].decode()
    assert served.asked.count("vkey") == 1


async def test_a_file_that_is_not_there(served: Served) -> None:
    async with served.reader() as reader:
        for read in (reader.file("tile/2/000"), reader.tile(0, 2), reader.entry_bundle(1), reader.entries(300, 1)):
            with pytest.raises(Refused, match="no such file"):
                await read


async def test_a_tile_that_no_log_has_is_not_asked_for(served: Served) -> None:
    async with served.reader() as reader:
        with pytest.raises(ValueError, match="no tile"):
            await reader.tile(5, 0)
    assert served.asked == []


@pytest.mark.parametrize("length", [0, 32, 8191, 90_624, 2**17])
async def test_a_file_of_another_form(served: Served, length: int) -> None:
    served.files["tile/0/000"] = served.files["tile/entries/000"] = bytes(length)
    async with served.reader() as reader:
        for read in (reader.tile(0, 0), reader.entry_bundle(0)):
            with pytest.raises(InvalidFrame):
                await read


@pytest.mark.parametrize(
    "changes",
    [
        {"vkey": write_key_note(DOMAIN, STRANGER).encode()},
        {"vkey": b""},
        {"checkpoint": write_checkpoint_note(HEAD, DOMAIN, STRANGER).encode()},
        {"checkpoint": write_checkpoint_note(HEAD, DOMAIN, NODE).encode().rpartition(b"\xe2\x80\x94")[0]},
        {"checkpoint": b"\xff" * 1000},
    ],
    ids=["another-key", "no-key", "another-node", "one-signature", "noise"],
)
async def test_a_head_that_its_node_did_not_sign(served: Served, changes: dict[str, bytes]) -> None:
    served.files.update(changes)
    async with served.reader() as reader:
        with pytest.raises(InvalidCheckpoint):
            await reader.checkpoint_note()


async def test_a_head_of_another_size(served: Served) -> None:
    served.files["checkpoint/8"] = served.files["checkpoint/7"]
    async with served.reader() as reader:
        with pytest.raises(InvalidFrame, match="of size 8, got that of 7"):
            await reader.checkpoint_note(8)


@pytest.mark.parametrize(
    "answer", [ProofPath(()), Head(NODE.address, sign_checkpoint(HEAD, DOMAIN, NODE))], ids=["proof", "head"]
)
async def test_an_answer_to_another_question(served: Served, answer: Frame) -> None:
    served.answer = lambda _: answer
    async with served.reader() as reader:
        with pytest.raises(Invalid):
            await reader.file("checkpoint")


async def test_a_refusal_without_words(served: Served) -> None:
    served.answer = lambda _: Rejected("busy", 0, "", 100)
    async with served.reader() as reader:
        with pytest.raises(Busy, match="The node defers"):
            await reader.file("checkpoint")


# Many questions


async def test_every_question_has_a_stream_of_its_own(served: Served) -> None:
    async with served.reader() as reader:
        for _ in range(5):
            await reader.tile(0, 0)

    assert served.streams == 5


async def test_many_questions_share_a_stream(served: Served) -> None:
    async with served.reader() as reader:
        async with reader.many_questions():
            for _ in range(5):
                await reader.tile(0, 0)
            with pytest.raises(Refused):
                await reader.file("nothing")
            assert await reader.entry_bundle(0) == LEAVES[:256]
        assert served.streams == 1
        await reader.tile(0, 0)

    assert served.streams == 2


async def test_questions_at_once_have_a_stream_each(served: Served) -> None:
    async with served.reader() as reader, reader.many_questions():
        for _ in range(3):
            async with trio.open_nursery() as nursery:
                for _ in range(4):
                    nursery.start_soon(reader.tile, 0, 0)

    assert served.streams == 4


async def test_a_stream_that_was_closed_meanwhile_is_opened_again(served: Served) -> None:
    served.answers_a_stream = 1
    async with served.reader() as reader, reader.many_questions():
        for _ in range(4):
            await reader.tile(0, 0)

    assert (served.streams, served.asked) == (4, ["tile/0/000"] * 4)


async def test_a_node_that_closes_without_an_answer_is_unreachable(served: Served) -> None:
    served.answers_a_stream = 0
    async with served.reader() as reader, reader.many_questions():
        with pytest.raises(NodeUnreachable, match="closed without an answer"):
            await reader.tile(0, 0)
