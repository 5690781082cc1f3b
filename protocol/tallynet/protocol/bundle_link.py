"""(6) A bundle as the fragment of a link: `#tally=` and the file, compressed, in base64 that links can carry.

What stands behind `#` stays in the reader's browser: no server sees it. Whoever has the link has the file.
"""

import base64
import binascii
import re
import zlib

from tallynet.protocol.bundle import MAGIC, MAX_BUNDLE_BYTES
from tallynet.protocol.errors import InvalidBundle

PREFIX = "#tally="

MAX_LINK_CHARACTERS = MAX_BUNDLE_BYTES
"""Longest link; browsers and messengers have far lower bounds of their own."""

_LETTERS = re.compile(r"[A-Za-z0-9_-]+")


def write_link(data: bytes) -> str:
    """The fragment that carries a bundle file. Raises `InvalidBundle`, check 1, for one that is too large."""
    link = PREFIX + base64.urlsafe_b64encode(zlib.compress(data, 9)).decode().rstrip("=")
    if len(link) > MAX_LINK_CHARACTERS:
        raise InvalidBundle(
            f"the link would have {len(link)} characters, more than {MAX_LINK_CHARACTERS}",
            check=1,
            remedy="Pass on the file, or open less of it: `tallynet audit open`.",
        )
    return link


def unwrap(data: bytes) -> bytes:
    """The bundle file that `data` is, or that a link in it holds. Raises `InvalidBundle`, check 1, for a bad link."""
    if data.startswith(MAGIC) or PREFIX.encode() not in data:
        return data
    return read_link(data.decode(errors="replace").strip())


def read_link(text: str) -> bytes:
    """The file in a fragment, or in a whole link that ends with one. Raises `InvalidBundle`, check 1.

    At most one byte more than a bundle can have is unpacked.
    """
    _, prefix, letters = text[: MAX_LINK_CHARACTERS + 1].partition(PREFIX)
    # (1) it is compressed data in the letters of a link, whole, and nothing else
    if not prefix or len(text) > MAX_LINK_CHARACTERS or not _LETTERS.fullmatch(letters):
        raise _malformed(f"it does not hold {PREFIX!r} and letters of base64url, at most {MAX_LINK_CHARACTERS}")
    try:
        packed = base64.urlsafe_b64decode(letters + "=" * (-len(letters) % 4))
        unpacker = zlib.decompressobj()
        data = unpacker.decompress(packed, MAX_BUNDLE_BYTES + 1)
    except (binascii.Error, zlib.error) as error:
        raise _malformed(f"it is damaged: {error}") from error
    if len(data) <= MAX_BUNDLE_BYTES and (not unpacker.eof or unpacker.unused_data):
        raise _malformed("it is cut short, or followed by something else")
    if base64.urlsafe_b64encode(packed).decode().rstrip("=") != letters:
        raise _malformed("its last letter has another form")
    return data


def _malformed(why: str) -> InvalidBundle:
    return InvalidBundle(f"the link holds no bundle: {why}", check=1)
