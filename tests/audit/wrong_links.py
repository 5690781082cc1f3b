"""Links that hold no bundle: check (1).

What is compressed here is written by hand, since every version of zlib may choose other bytes.
"""

import base64
import zlib

from tallynet.protocol.bundle import MAX_BUNDLE_BYTES, write_bundle
from tallynet.protocol.bundle_link import PREFIX
from tests.audit.examples import bundle
from tests.audit.ways import way

VALID = write_bundle(bundle()).encode()


def link(packed: bytes) -> str:
    return f"https://example.org/{PREFIX}{base64.urlsafe_b64encode(packed).decode().rstrip('=')}\n"


def stored(data: bytes) -> bytes:
    """A zlib stream of one block that is not compressed (RFC 1950, RFC 1951 §3.2.4)."""
    length = len(data).to_bytes(2, "little")
    inverse = bytes(byte ^ 0xFF for byte in length)
    return b"\x78\x01\x01" + length + inverse + data + zlib.adler32(data).to_bytes(4, "big")


def zeros(count: int) -> bytes:
    """The beginning of a zlib stream of at least `count` zero bytes: one, then runs of 258 (RFC 1951 §3.2.6)."""
    block, literal, run = "110", "00110000", "11000101" + "00000"
    bits = block + literal + run * (count // 258 + 1)
    bits += "0" * (-len(bits) % 8)
    return b"\x78\x01" + bytes(int(bits[at : at + 8][::-1], 2) for at in range(0, len(bits), 8))


@way(1, f"more than {MAX_BUNDLE_BYTES}")
def link_to_more_than_four_mebibytes() -> str:
    """The link unpacks to more than a bundle can have."""
    return link(zeros(MAX_BUNDLE_BYTES))


@way(1, "the link holds no bundle: it does not hold")
def link_without_letters() -> str:
    """Nothing stands behind the link's prefix."""
    return f"https://example.org/{PREFIX}\n"


@way(1, "the link holds no bundle: it does not hold")
def link_with_padding() -> str:
    """The link's base64 is padded."""
    return link(stored(VALID))[:-1] + "=\n"


@way(1, "the link holds no bundle: it does not hold")
def link_in_letters_of_another_base64() -> str:
    """A letter of the link is one of plain base64, which links cannot carry."""
    whole = link(stored(VALID))
    return whole[:500] + "+" + whole[501:]


@way(1, "the link holds no bundle: it is damaged")
def link_that_is_not_compressed() -> str:
    """The link holds the file as it is."""
    return link(VALID)


@way(1, "the link holds no bundle: it is damaged")
def link_with_a_letter_changed() -> str:
    """A letter within the link is another one."""
    whole = link(stored(VALID))
    return whole[:500] + ("A" if whole[500] != "A" else "B") + whole[501:]


@way(1, "cut short, or followed by something else")
def link_cut_short() -> str:
    """A messenger has cut the link's end off."""
    return link(stored(VALID)[:-100])


@way(1, "cut short, or followed by something else")
def link_followed_by_something() -> str:
    """Bytes follow the compressed file."""
    return link(stored(VALID) + b"more")


@way(1, "its last letter has another form")
def link_with_other_unused_bits() -> str:
    """The last letter of the link has bits set that say nothing."""
    whole = link(stored(VALID + b"#" * ((2 - len(stored(VALID))) % 3)))
    return whole[:-2] + chr(ord(whole[-2]) + 1) + "\n"


@way(1, "its first line is b'hello'")
def link_to_something_else() -> str:
    """The link holds no bundle."""
    return link(stored(b"hello\n"))
