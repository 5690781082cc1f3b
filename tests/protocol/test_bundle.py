"""A bundle has one form."""

import struct
from base64 import b64decode, b64encode
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallynet.protocol.bundle import (
    MAX_BUNDLE_BYTES,
    parse_bundle,
    read_bundle,
    write_bundle,
)
from tallynet.protocol.bundle_checks import verify_bundle
from tallynet.protocol.chunk import ChunkBody
from tallynet.protocol.errors import InvalidBundle
from tests.audit.examples import CHUNKS, ExampleNode, bundle
from tests.audit.forging import (
    change_opening,
    seal,
    swap,
    swap_packed,
    value_of,
    whole,
)

VALID = bundle()
TEXT = write_bundle(VALID)
LINES = TEXT.splitlines()


def test_what_is_written_is_read() -> None:
    assert read_bundle(TEXT) == VALID
    assert read_bundle(TEXT.encode()) == VALID


def test_a_bundle_without_an_anchor_is_written_and_read() -> None:
    pending = replace(VALID, inclusion=None)

    assert read_bundle(write_bundle(pending)) == pending


def test_a_bundle_of_an_answer_without_chunks_is_written_and_read() -> None:
    empty = ExampleNode().run(chunks=())

    assert read_bundle(write_bundle(empty)) == empty
    verify_bundle(empty)


def test_a_closed_bundle_is_written_and_read() -> None:
    closed = VALID.closed()

    assert read_bundle(write_bundle(closed)) == closed
    assert closed.opening is None


def test_a_short_run_has_a_small_bundle() -> None:
    assert len(TEXT.encode()) < 2_100


def test_logprobs_are_written_as_they_were_committed_to() -> None:
    precise = ExampleNode().run(chunks=[ChunkBody((1,), "a", (-0.1,))])  # -0.1 is no float32

    again = read_bundle(write_bundle(precise))

    assert whole(again).chunks[0].logprobs != (-0.1,)
    verify_bundle(again)


def _swap(label: str, value: str) -> str:
    return swap(TEXT.encode(), label, value.encode()).decode()


def _sealed(body: str) -> str:
    return seal(body.encode()).decode()


def _value(label: str) -> str:
    return value_of(TEXT.encode(), label).decode()


BODY = "\n".join([*LINES[2:], ""])
SECOND = LINES[1]
PROOF = TEXT[TEXT.index("c2sp.org/") :]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "first line"),
        (TEXT.replace("@v2", "@v1", 1), "first line"),
        ("tallynet-bundle@v2", "no end"),
        ("tallynet-bundle@v2\n", "should hold 'sha256'"),
        (TEXT[:-1], "no end"),
        (TEXT + "\n", "no 1 to 64 signature lines"),
        (TEXT + "note x\n", "signature line of the note"),
        (TEXT.replace("\n", "\r\n"), "first line"),
        (" " + TEXT, "first line"),
        ("\ufeff" + TEXT, "first line"),
        (TEXT.replace("chain ", "chain  "), "decimal number"),
        (_swap("chain", "031337"), "decimal number"),
        (_swap("chain", "+31337"), "decimal number"),
        (_swap("chain", "0"), "not within"),
        (_swap("chain", "9" * 30), "decimal number"),
        (_swap("chain", "1"), "its checkpoint is of another log than tallynet/1/0x"),
        (_swap("node", "0x" + "AB" * 20), "an address"),
        (_swap("node", "0xab"), "an address"),
        (_swap("leaf", "AAAA"), "'leaf' cannot be read"),
        (_swap("leaf", ""), "'leaf' cannot be read"),
        (_swap("secret", "AAAA"), "3 bytes, not 32"),
        (_swap("secret", "****"), "not base64"),
        (_swap("secret", "é"), "not base64"),
        (_swap("job", "AAAA"), "'job' cannot be read"),
        (_swap("job", ""), "'job' cannot be read"),
        (_swap("job", b64encode(b64decode(_value("job")) + b"\0").decode()), "1 bytes hold no 0 parents"),
        (_swap("receipt", "gA=="), "'receipt' cannot be read"),
        (_swap("prompt", "AAAAAQ=="), "announces 1 tokens"),
        (_swap("prompt", "/////w=="), "announces 4294967295 tokens"),
        (_swap("prompt", "AAAAAAA="), "after its tokens"),
        (_swap("chunk", "AAAAAAAA"), "cut short"),
        (_swap("chunk", "AAAAAP////8="), "cut short in its evidence"),
        (_swap("chunk", "AAAAAAAAAAD/"), "breaks its bounds: 'utf-8' codec"),
        (_swap("chunk", b64encode(struct.pack(">IIfI", 1, 7, 0.5, 0)).decode()), "<= 0.0 - at `$.logprobs[0]`"),
        (_swap("chunk", b64encode(struct.pack(">IIfI", 1, 7, float("nan"), 0)).decode()), "breaks its bounds"),
        (_swap("chunk", b64encode(struct.pack(">II2000x", 0, 2000)).decode()), "length <= 1024"),
        (_swap("chunk", b64encode(bytes(8) + b"x" * 20000).decode()), "length <= 16384"),
        (_swap("anchor", "12 1767229200"), "two numbers and two hashes"),
        (_swap("anchor", _value("anchor").replace("12 ", "012 ", 1)), "two numbers and two hashes"),
        (_swap("anchor", "12 1767229200 AAAA AAAA"), "3 bytes, not 32"),
        (_swap("anchor", _value("anchor").replace("12 ", "9007199254740992 ", 1)), "2**53 or more"),
        (_swap("index", "02"), "not an index"),
        (_sealed(BODY.replace(PROOF.split("\n")[2], "AAAA")), "not 32 bytes in the one base64 form"),
        (_swap("secret", _value("secret")[:-2] + "J="), "line 10 is not in the one form"),
        (_sealed(BODY.replace(f"anchor {_value('anchor')}\n", "")), "it has a proof and no anchor"),
        (_sealed(BODY[: BODY.index("\n\n") + 1]), "it has an anchor and no proof"),
        (_sealed(BODY.replace("\n\n", "\n", 1)), "comes after the last"),
        (TEXT.replace(SECOND + "\n", ""), "should hold 'sha256'"),
        (TEXT.replace(SECOND, SECOND[:-5]), "not base64"),
        (TEXT.replace(SECOND, "sha256 AAAA"), "3 bytes, not 32"),
    ],
)
def test_another_form_is_refused(text: str, words: str) -> None:
    with pytest.raises(InvalidBundle, match="not a bundle") as caught:
        parse_bundle(text)

    assert caught.value.check == 1
    assert words in caught.value.message


def test_a_second_line_in_another_form_of_base64_is_refused() -> None:
    """The last letter before the padding holds two bits that say nothing; they must be 0."""
    text = TEXT.replace(SECOND, SECOND[:-2] + chr(ord(SECOND[-2]) + 1) + "=")

    with pytest.raises(InvalidBundle, match="line 2 is not in the one form") as caught:
        parse_bundle(text)

    assert caught.value.check == 1


def test_a_file_over_the_cap_is_refused_unread() -> None:
    with pytest.raises(InvalidBundle, match="more than"):
        parse_bundle(b"x" * (MAX_BUNDLE_BYTES + 1))


def test_a_bundle_over_the_cap_is_not_written() -> None:
    with pytest.raises(InvalidBundle, match="more than"):
        write_bundle(replace(VALID, opening=replace(whole(VALID), request=bytes(MAX_BUNDLE_BYTES))))


@given(st.binary(max_size=200))
def test_no_bytes_after_the_first_line_break_the_reader(data: bytes) -> None:
    with pytest.raises(InvalidBundle):
        parse_bundle(b"tallynet-bundle@v2\n" + data)


@pytest.mark.parametrize("label", ["leaf", "job", "receipt", "secret", "request", "prompt", "chunk"])
@given(data=st.binary(max_size=400))
def test_whatever_a_line_holds_it_is_refused_or_written_again_as_it_was(label: str, data: bytes) -> None:
    text = swap_packed(TEXT.encode(), label, data)
    try:
        found = read_bundle(text)
    except InvalidBundle as error:
        assert error.check == 1
    else:
        assert write_bundle(found).encode() == text


def test_a_changed_second_line_is_refused() -> None:
    damaged = TEXT.replace(SECOND, "sha256 " + ("A" if SECOND[7] != "A" else "B") + SECOND[8:])

    with pytest.raises(InvalidBundle, match="changed after it was written") as caught:
        read_bundle(damaged)

    assert caught.value.check == 10


def test_unequal_tokens_and_logprobs_are_our_own_bug() -> None:
    with pytest.raises(ValueError, match="2 tokens has 1 logprobs"):
        write_bundle(change_opening(VALID, chunks=(ChunkBody((1, 2), "", (-1.0,)), *CHUNKS)))
