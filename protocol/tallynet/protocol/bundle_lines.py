"""The lines that a bundle is made of: `label value`, in one order, each value in one form.

Whether base64 has its one form is seen later, when the bundle is written again and compared (`bundle.parse_bundle`).
"""

import base64
import binascii
import re

from tallynet.protocol.errors import InvalidBundle
from tallynet.protocol.units import Address, Digest

_NUMBER = re.compile(rb"0|[1-9][0-9]{0,19}")
_ADDRESS = re.compile(rb"0x[0-9a-f]{40}")
_ANCHOR = re.compile(rb"(0|[1-9][0-9]{0,15}) (0|[1-9][0-9]{0,15}) ([^ ]+) ([^ ]+)")


class Lines:
    """The lines of a file, taken one by one in the order in which they must stand.

    Every method but `next_is` takes the next line, and raises `InvalidBundle`, check 1, for any other than it asks for.
    """

    def __init__(self, lines: list[bytes], first: int) -> None:
        """`first` is the number of the first line within its file."""
        self._lines = lines
        self._first = first
        self._at = 0

    def next_is(self, label: str) -> bool:
        return self._at < len(self._lines) and self._lines[self._at].startswith(label.encode() + b" ")

    def value(self, label: str) -> bytes:
        """What follows the label on the next line."""
        if not self.next_is(label):
            found = self._lines[self._at][:40] if self._at < len(self._lines) else b"the end of the lines"
            raise malformed(f"line {self._first + self._at} should hold {label!r} and begins with {found!r}")
        self._at += 1
        return self._lines[self._at - 1][len(label) + 1 :]

    def number(self, label: str, *, least: int, below: int) -> int:
        number = int(self._matching(label, _NUMBER, "a decimal number"))
        if not least <= number < below:
            raise malformed(f"{label!r} is {number}, not within {least} to {below - 1}")
        return number

    def address(self, label: str) -> Address:
        return Address(bytes.fromhex(self._matching(label, _ADDRESS, "an address")[2:].decode()))

    def binary(self, label: str) -> bytes:
        return _decode(label, self.value(label))

    def digest(self, label: str) -> Digest:
        return _digest(label, self.value(label))

    def anchor(self, label: str) -> tuple[int, int, Digest, Digest]:
        """Two numbers below 2**53 and two digests, a space between them."""
        value = self._matching(label, _ANCHOR, "two numbers and two hashes")
        block, time, block_hash, transaction = value.split(b" ")
        if max(int(block), int(time)) >= 2**53:
            raise malformed(f"{label!r} holds a number of 2**53 or more")
        return int(block), int(time), _digest(label, block_hash), _digest(label, transaction)

    def end(self) -> None:
        if self._at < len(self._lines):
            raise malformed(f"line {self._first + self._at} comes after the last that can stand there")

    def _matching(self, label: str, form: re.Pattern[bytes], what: str) -> bytes:
        value = self.value(label)
        if not form.fullmatch(value):
            raise malformed(f"{label!r} is {value[:80]!r}, not {what}")
        return value


def _decode(label: str, value: bytes) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise malformed(f"{label!r} is not base64: {error}") from error


def _digest(label: str, value: bytes) -> Digest:
    data = _decode(label, value)
    if len(data) != 32:
        raise malformed(f"{label!r} has {len(data)} bytes, not 32")
    return Digest(data)


def malformed(why: str) -> InvalidBundle:
    return InvalidBundle(f"the file is not a bundle: {why}", check=1)
