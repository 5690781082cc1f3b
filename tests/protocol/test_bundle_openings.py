"""What a bundle opens: the whole, chosen parts, or nothing; and that a part shows no more than it should."""

from dataclasses import replace

import pytest

from tallynet.protocol.bundle import Bundle, read_bundle, write_bundle
from tallynet.protocol.bundle_checks import CheckResult, State, verify_bundle
from tallynet.protocol.bundle_openings import (
    OpenedChunk,
    OpenedRequest,
    Part,
    Whole,
    open_part,
    opened_request,
    opened_text,
)
from tallynet.protocol.chunk import ChunkBody
from tallynet.protocol.commitment import chunk_salt, commit_chunk, request_salt
from tallynet.protocol.errors import InvalidBundle, Misconfigured
from tallynet.protocol.units import Digest
from tests.audit.examples import ExampleNode

BODIES = tuple(ChunkBody((number,), f"<{number}>", (-0.5,), b"seen") for number in range(5))
NODE = ExampleNode()
WHOLE = NODE.anchored(NODE.run(chunks=BODIES))
OPENING = WHOLE.opening
assert isinstance(OPENING, Whole)
SECRET, REQUEST = OPENING.secret, OPENING.request


def part(*chunks: int, request: bool = False) -> Bundle:
    return replace(WHOLE, opening=open_part(OPENING, chunks, request=request))


def opening(bundle: Bundle) -> Part:
    assert isinstance(bundle.opening, Part)
    return bundle.opening


def results(bundle: Bundle) -> dict[int, CheckResult]:
    return {result.number: result for result in verify_bundle(read_bundle(write_bundle(bundle)))}


@pytest.mark.parametrize("chunks", [(0,), (2,), (4,), (0, 4), (1, 2, 3), (0, 1, 2, 3, 4)])
def test_chosen_chunks_are_opened_and_hold(chunks: tuple[int, ...]) -> None:
    opened = part(*chunks)

    assert opening(opened).opened == chunks
    assert results(opened)[7] == CheckResult(
        7, "the answer opens its commitment", State.OK, f"{len(chunks)} of 5 chunks opened"
    )
    assert {number for number, result in results(opened).items() if result.state is State.SKIPPED} == {2, 5, 6}


def test_the_request_alone_is_opened_and_holds() -> None:
    opened = part(request=True)

    assert opening(opened) == Part(OpenedRequest(request_salt(SECRET), REQUEST), ())
    assert results(opened)[5].state is State.OK
    assert {number for number, result in results(opened).items() if result.state is State.SKIPPED} == {2, 6, 7}


def test_request_and_chunks_are_opened_together() -> None:
    opened = part(3, request=True)

    assert read_bundle(write_bundle(opened)) == opened
    assert {number for number, result in results(opened).items() if result.state is State.SKIPPED} == {2, 6}


def test_a_part_holds_neither_the_secret_nor_what_it_does_not_open() -> None:
    kept = part(3)

    assert opening(kept).chunks[3] == OpenedChunk(chunk_salt(SECRET, 3), (3,), "<3>")
    for number in (0, 1, 2, 4):
        assert opening(kept).chunks[number] == commit_chunk(chunk_salt(SECRET, number), (number,), f"<{number}>")
    assert opening(kept).request is None


def test_a_part_of_a_part_is_opened() -> None:
    some = open_part(OPENING, [1, 3], request=True)

    assert open_part(some, [3]) == open_part(OPENING, [3])
    assert open_part(some, [], request=True) == open_part(OPENING, [], request=True)


@pytest.mark.parametrize(
    ("of", "chunks", "request_too", "words"),
    [
        (OPENING, [5], False, "Chunk 5 is not open in this file; open are: 0, 1, 2, 3, 4."),
        (OPENING, [-1], False, "Chunk -1 is not open"),
        (open_part(OPENING, [1]), [2], False, "open are: 1."),
        (open_part(OPENING, [], request=True), [0], False, "open are: none."),
        (open_part(OPENING, [1]), [1], True, "The request is not open"),
        (None, [0], False, "open are: none."),
        (None, [], True, "The request is not open"),
        (OPENING, [], False, "Nothing is chosen"),
    ],
)
def test_what_is_not_open_cannot_be_passed_on(
    of: Whole | Part | None, chunks: list[int], request_too: bool, words: str
) -> None:
    with pytest.raises(Misconfigured) as caught:
        open_part(of, chunks, request=request_too)

    assert words in caught.value.message


def test_the_text_shows_gaps_where_chunks_are_closed() -> None:
    assert opened_text(OPENING) == "<0><1><2><3><4>"
    assert opened_text(open_part(OPENING, [1, 4])) == "[…]<1>[…]<4>"
    assert opened_text(open_part(OPENING, [0, 1])) == "<0><1>[…]"
    assert opened_text(open_part(OPENING, [], request=True)) is None
    assert opened_text(None) is None


def test_the_request_is_read_where_it_is_open() -> None:
    assert opened_request(OPENING) == opened_request(open_part(OPENING, [], request=True)) == REQUEST
    assert opened_request(open_part(OPENING, [1])) is opened_request(None) is None


# --- one thing broken at a time --------------------------------------------------------------------------


def broken(chunks: tuple[OpenedChunk | Digest, ...], request: OpenedRequest | None = None) -> InvalidBundle:
    """How a part with these pieces fails."""
    text = write_bundle(replace(WHOLE, opening=Part(request, chunks)))
    with pytest.raises(InvalidBundle) as caught:
        verify_bundle(read_bundle(text))
    return caught.value


CHUNKS = open_part(OPENING, [1, 2]).chunks
ONE = CHUNKS[1]
assert isinstance(ONE, OpenedChunk)


@pytest.mark.parametrize(
    "chunks",
    [
        (CHUNKS[0], replace(ONE, text="<2>"), *CHUNKS[2:]),
        (CHUNKS[0], replace(ONE, tokens=(9,)), *CHUNKS[2:]),
        (CHUNKS[0], replace(ONE, salt=bytes(32)), *CHUNKS[2:]),
        (CHUNKS[0], CHUNKS[2], CHUNKS[1], *CHUNKS[3:]),
        (Digest(bytes(32)), *CHUNKS[1:]),
        CHUNKS[1:],
        CHUNKS[:-1],
        (*CHUNKS, CHUNKS[-1]),
    ],
    ids=["text", "token", "salt", "places exchanged", "a closed one", "first missing", "last missing", "one more"],
)
def test_a_changed_piece_does_not_open_the_answer(chunks: tuple[OpenedChunk | Digest, ...]) -> None:
    failure = broken(chunks)

    assert failure.check == 7
    assert "the chunks in the file hash to" in failure.message


def test_another_request_does_not_open_the_commitment() -> None:
    for request in (OpenedRequest(bytes(32), REQUEST), OpenedRequest(request_salt(SECRET), REQUEST + b"\0")):
        failure = broken((), request)

        assert failure.check == 5
        assert "the job commits to request" in failure.message


@pytest.mark.parametrize(("count", "chunks"), [(4, [0, 1, 2, 3, 4]), (6, [0, 1, 2, 3, 4]), (1, [0, 1])])
def test_opened_tokens_that_contradict_the_leaf_are_refused(count: int, chunks: list[int]) -> None:
    node = ExampleNode()
    lying = node.run(chunks=BODIES, completion_tokens=count)

    with pytest.raises(InvalidBundle, match=f"the leaf counts {count} tokens, the file opens {len(chunks)}") as caught:
        verify_bundle(replace(lying, opening=open_part(lying.opening, chunks)))

    assert caught.value.check == 7


def test_fewer_tokens_opened_than_counted_are_as_it_should_be() -> None:
    assert results(part(1))[7].state is State.OK


@pytest.mark.parametrize(
    ("opened", "words"),
    [
        (Part(None, (commit_chunk(bytes(32), (1,), "a"),)), "lists closed chunks and opens none"),
        (Part(OpenedRequest(b"short", b""), ()), "'opened-request' of 5 bytes has no salt"),
        (Part(None, (OpenedChunk(b"short", (), ""),)), "announces"),
        (Part(None, (OpenedChunk(bytes(32), tuple(range(17)), ""),)), "announces 17 tokens"),
    ],
)
def test_an_opening_of_another_form_is_refused(opened: Part, words: str) -> None:
    with pytest.raises(InvalidBundle, match=words) as caught:
        read_bundle(write_bundle(replace(WHOLE, opening=opened)))

    assert caught.value.check == 1


def test_whole_and_part_in_one_file_are_refused() -> None:
    whole, some = write_bundle(WHOLE), write_bundle(part(1))
    line = next(line for line in some.splitlines() if line.startswith("opened-chunk "))

    with pytest.raises(InvalidBundle, match="comes after the last"):
        read_bundle(whole.replace("\n\nc2sp", f"\n{line}\n\nc2sp"))
