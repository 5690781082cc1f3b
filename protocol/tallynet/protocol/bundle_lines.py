"""The lines that a bundle is made of: `label value`, in one order, each value in one form.

Whether base64 has its one form is seen later, when the bundle is written again and compared (`bundle.parse_bundle`).
"""

import base64
import binascii
import re
from typing import TypeVar

import msgspec

from tallynet.protocol.errors import InvalidBundle
from tallynet.protocol.units import Address, Digest

MAGIC = b"tallynet-bundle@v1"
"""The first line."""

_NUMBER = re.compile(rb"0|[1-9][0-9]{0,19}")
_ADDRESS = re.compile(rb"0x[0-9a-f]{40}")
_HEX32 = re.compile(rb"[0-9a-f]{64}")

T = TypeVar("T")


class Lines:
    """The lines of a file, taken one by one in the order in which they must stand.

    Every method but `next_is` takes the next line, and raises `InvalidBundle`, check 1, for any other than it asks for.
    """

    def __init__(self, data: bytes) -> None:
        magic, *lines = data.split(b"\n")
        if magic != MAGIC:
            raise malformed(f"its first line is {magic[:40]!r}, not {MAGIC.decode()!r}")
        if not lines or lines[-1] != b"":
            raise malformed("its last line has no end")
        self._lines = lines[:-1]
        self._at = 0

    def next_is(self, label: str) -> bool:
        return self._at < len(self._lines) and self._lines[self._at].startswith(label.encode() + b" ")

    def value(self, label: str) -> bytes:
        """What follows the label on the next line."""
        if not self.next_is(label):
            found = self._lines[self._at][:40] if self._at < len(self._lines) else b"the end of the file"
            raise malformed(f"line {self._at + 2} should hold {label!r} and begins with {found!r}")
        self._at += 1
        return self._lines[self._at - 1][len(label) + 1 :]

    def number(self, label: str, *, least: int, below: int) -> int:
        number = int(self._matching(label, _NUMBER, "a decimal number"))
        if not least <= number < below:
            raise malformed(f"{label!r} is {number}, not within {least} to {below - 1}")
        return number

    def address(self, label: str) -> Address:
        return Address(bytes.fromhex(self._matching(label, _ADDRESS, "an address")[2:].decode()))

    def hex32(self, label: str) -> str:
        return self._matching(label, _HEX32, "32 bytes in hex").decode()

    def binary(self, label: str) -> bytes:
        try:
            return base64.b64decode(self.value(label), validate=True)
        except binascii.Error as error:
            raise malformed(f"{label!r} is not base64: {error}") from error

    def digest(self, label: str) -> Digest:
        data = self.binary(label)
        if len(data) != 32:
            raise malformed(f"{label!r} has {len(data)} bytes, not 32")
        return Digest(data)

    def struct(self, label: str, decoder: msgspec.msgpack.Decoder[T]) -> T:
        try:
            return decoder.decode(self.binary(label))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise malformed(f"{label!r} cannot be read: {error}") from error

    def end(self) -> None:
        if self._at < len(self._lines):
            raise malformed(f"line {self._at + 2} comes after the end")

    def _matching(self, label: str, form: re.Pattern[bytes], what: str) -> bytes:
        value = self.value(label)
        if not form.fullmatch(value):
            raise malformed(f"{label!r} is {value[:80]!r}, not {what}")
        return value


def malformed(why: str) -> InvalidBundle:
    return InvalidBundle(f"the file is not a bundle: {why}", check=1)
