"""A bundle in a link comes out as it went in, or not at all."""

import base64
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallynet.protocol.bundle import MAX_BUNDLE_BYTES, parse_bundle, read_bundle, write_bundle
from tallynet.protocol.bundle_link import MAX_LINK_CHARACTERS, PREFIX, read_link, unwrap, write_link
from tallynet.protocol.errors import InvalidBundle
from tests.audit.examples import bundle

DATA = write_bundle(bundle()).encode()
LINK = write_link(DATA)


def linked(packed: bytes) -> str:
    return PREFIX + base64.urlsafe_b64encode(packed).decode().rstrip("=")


def test_a_bundle_travels_as_a_fragment() -> None:
    assert read_link(LINK) == DATA
    assert read_bundle(read_link(LINK)) == bundle()


def test_a_whole_link_is_read_up_to_its_fragment() -> None:
    assert read_link("https://example.org/check?lang=en" + LINK) == DATA


def test_a_closed_bundle_fits_a_link_of_2048_characters() -> None:
    assert len(write_link(write_bundle(bundle().closed()).encode())) <= 2048


def test_a_link_needs_no_escapes() -> None:
    assert LINK.startswith("#tally=")
    assert LINK.removeprefix("#tally=").replace("-", "").replace("_", "").isalnum()


def test_however_it_was_compressed_the_file_is_the_same() -> None:
    assert read_link(linked(zlib.compress(DATA, 0))) == DATA


@given(st.binary(max_size=500))
def test_all_bytes_travel(data: bytes) -> None:
    assert read_link(write_link(data)) == data


def test_a_file_that_holds_a_link_is_what_the_link_holds() -> None:
    assert unwrap(f"  https://example.org/{LINK}\n".encode()) == DATA
    assert unwrap(DATA) == DATA


def test_a_bundle_that_speaks_of_links_is_no_link() -> None:
    assert unwrap(DATA + LINK.encode()) == DATA + LINK.encode()


def test_a_file_that_holds_a_damaged_link_is_refused() -> None:
    for damaged in (LINK[:-40].encode(), b"\xff" + LINK.encode() + b"\xff", LINK.encode() * 2):
        with pytest.raises(InvalidBundle, match="the link holds no bundle"):
            unwrap(damaged)


def test_a_bundle_too_large_for_a_link_is_not_written_as_one() -> None:
    with pytest.raises(InvalidBundle, match="the link would have"):
        write_link(random.Random(1).randbytes(MAX_LINK_CHARACTERS))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "does not hold '#tally='"),
        ("#tally=", "does not hold"),
        ("https://example.org/", "does not hold"),
        (LINK.replace("#tally=", "#tall="), "does not hold"),
        (LINK + "=", "does not hold"),
        (LINK + "\n", "does not hold"),
        (LINK + "&x=1", "does not hold"),
        (LINK[:20] + "+" + LINK[21:], "does not hold"),
        (LINK[:20] + "é" + LINK[21:], "does not hold"),
        (LINK + "#tally=" + LINK, "does not hold"),
        (PREFIX + "A" * MAX_LINK_CHARACTERS, f"at most {MAX_LINK_CHARACTERS}"),
        (PREFIX + "AAAAA", "damaged"),
        (PREFIX + "AAAA", "damaged"),
        (LINK[:-40], "cut short"),
        (linked(zlib.compress(DATA) + b"more"), "followed by something else"),
        (linked(zlib.compress(DATA)[:-1] + b"\0"), "damaged"),
    ],
)
def test_another_link_is_refused(text: str, words: str) -> None:
    with pytest.raises(InvalidBundle, match="the link holds no bundle") as caught:
        read_link(text)

    assert caught.value.check == 1
    assert words in caught.value.message


def test_a_last_letter_with_other_unused_bits_is_refused() -> None:
    empty = linked(zlib.compress(b"", 0))  # 11 bytes: the last letter has two bits too many

    assert read_link(empty) == b""
    with pytest.raises(InvalidBundle, match="last letter has another form"):
        read_link(empty[:-1] + chr(ord(empty[-1]) + 1))


def test_what_unpacks_to_more_than_a_bundle_is_refused_without_unpacking_it_all() -> None:
    bomb = read_link(linked(zlib.compress(bytes(16 * MAX_BUNDLE_BYTES), 9)))

    assert len(bomb) == MAX_BUNDLE_BYTES + 1
    with pytest.raises(InvalidBundle, match="more than"):
        parse_bundle(bomb)
