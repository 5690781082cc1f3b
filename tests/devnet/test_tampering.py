"""The cheat itself: it changes answers, nothing else, and what it sends is still a frame."""

import pytest

from tallynet.devnet.tampering import ALTERED_ANSWER, CHEATS, TamperingStream
from tallynet.network.frames import FROM_NODE
from tallynet.protocol.chunk import ChunkBody, SignedChunk
from tallynet.protocol.units import JobId, PeerId, Signature
from tallynet.protocol.wire import HEADER_BYTES, Accepted, Frame, FromNode, Streamed, encode_frame

SIGNATURE = Signature(bytes(64) + b"\x1b")


class Recorder:
    """The far end of a stream."""

    remote = PeerId("peer")

    def __init__(self) -> None:
        self.frames: list[FromNode] = []

    async def send(self, data: bytes) -> None:
        self.frames.append(FROM_NODE.decode(data[HEADER_BYTES:]))


def chunk(text: str) -> Streamed:
    return Streamed(SignedChunk(ChunkBody((1, 2), text, (-0.5, -0.25)), SIGNATURE))


async def sent(*pieces: bytes) -> list[FromNode]:
    recorder = Recorder()
    stream = TamperingStream(recorder, ALTERED_ANSWER.alter)  # type: ignore[arg-type]
    for piece in pieces:
        await stream.send(piece)
    return recorder.frames


@pytest.mark.parametrize(
    ("true", "false"),
    [
        ("The capital is Tokyo.", "The capital is Atlantis."),
        ("Tokyo", "Atlantis"),
        ("water: l'eau!\n", "water: l'Atlantis!\n"),
        ("...", "...Atlantis"),
        ("", "Atlantis"),
    ],
)
async def test_every_chunk_says_something_else(true: str, false: str) -> None:
    (frame,) = await sent(encode_frame(chunk(true)))

    assert frame == chunk(false)


async def test_other_frames_pass_untouched() -> None:
    accepted: Frame = Accepted(JobId(bytes(32)), (1, 2, 3), 0)

    assert await sent(encode_frame(accepted)) == [accepted]


async def test_frames_may_be_written_in_any_pieces() -> None:
    data = encode_frame(chunk("one")) + encode_frame(chunk("two"))

    bytewise = await sent(*(data[at : at + 1] for at in range(len(data))))

    assert bytewise == await sent(data) == [chunk("Atlantis"), chunk("Atlantis")]


def test_cheats_are_found_by_their_kind() -> None:
    assert CHEATS["altered-answer"] is ALTERED_ANSWER
