"""(3) What an engine measures of its own work, 64 bytes for every group of 16 tokens: its form, and what keys it.

A group is the tokens 16g … 16g + 15 of an answer, however the answer was cut into pieces; the last one may be short.
Its record is made of the model's final hidden states, the inputs of the language-model head that chose these tokens:
a sketch, which another machine can compare, and an exact hash, for whoever repeats the very same arithmetic.

The sketch's signs follow from the seed, the prompt and all tokens up to the end of the group, so a record can't be
made before the tokens are fixed, and no record fits another answer. Source: spec chapter 3, "Evidence"; decision 0011.

Not protected here: whether the hidden states are those of the model. That is what a replay finds out.
"""

import hashlib
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from tallynet.protocol.commitment import pack_tokens
from tallynet.protocol.units import Digest, TokenIds

SKETCH_TAG = b"tallynet/sketch/1\0"

GROUP_TOKENS = 16
SKETCH_ENTRIES = 29
SIGN_BYTES = 4
"""Bytes of signs for each channel of the hidden state: one bit an entry, the last three unused."""
MANY_ROWS = 255
"""Stands for this many generations in one step, and for more."""

_FORM = struct.Struct(f">eB{SKETCH_ENTRIES}b32s")
RECORD_BYTES = _FORM.size
"""64, four a token in a full group."""

LARGEST_ENTRY = 127
LARGEST_SCALE = 65504.0
"""Of a float16."""


@dataclass(frozen=True, slots=True)
class Record:
    """The evidence of one group."""

    scale: float
    """A float16: what one unit of `entries` stands for."""
    rows: int
    """The most generations that shared a step of this group, 1 … 255; 1 means that it ran alone."""
    entries: tuple[int, ...]
    """SKETCH_ENTRIES numbers, -127 … 127."""
    exact: Digest
    """SHA-256 of the group's hidden states, token after token, as the bytes of the device's numbers, little-endian."""

    @classmethod
    def of(cls, sketch: Sequence[float], rows: int, exact: Digest) -> Self:
        """With the sketch rounded to 8 bits; the largest entry decides the scale."""
        largest = max(map(abs, sketch))
        scale = as_float16(min(largest / LARGEST_ENTRY, LARGEST_SCALE))
        return cls(scale, min(rows, MANY_ROWS), tuple(_rounded(value, scale) for value in sketch), exact)

    @property
    def sketch(self) -> tuple[float, ...]:
        return tuple(entry * self.scale for entry in self.entries)

    def pack(self) -> bytes:
        return _FORM.pack(self.scale, self.rows, *self.entries, self.exact)


def read_records(evidence: bytes) -> tuple[Record, ...]:
    """The records of an answer, from the evidence of its pieces joined. Raises ValueError unless they are sound."""
    # (1) it is made of whole records
    if len(evidence) % RECORD_BYTES:
        raise ValueError(f"{len(evidence)} bytes of evidence are no whole number of records of {RECORD_BYTES}")
    records = tuple(
        Record(scale, rows, tuple(entries), Digest(exact))
        for scale, rows, *entries, exact in _FORM.iter_unpack(evidence)
    )
    for group, record in enumerate(records):
        # (2) every scale is finite and not below 0, every entry at least -127, and at least one generation ran
        if not 0 <= record.scale <= LARGEST_SCALE or min(record.entries) < -LARGEST_ENTRY or not record.rows:
            raise ValueError(f"record {group} has scale {record.scale}, {record.rows} rows, {min(record.entries)}")
    return records


def group_count(tokens: int) -> int:
    """How many records an answer of so many tokens has."""
    return -(-tokens // GROUP_TOKENS)


class SignKeys:
    """What keys the signs of each group: SHA-256 over the seed, the prompt and all tokens so far."""

    def __init__(self, seed: Digest, prompt: TokenIds) -> None:
        prompt_digest = hashlib.sha256(pack_tokens(prompt)).digest()
        self._hash = hashlib.sha256(SKETCH_TAG + seed + prompt_digest)

    def after(self, tokens: Iterable[int]) -> Digest:
        """The key of the group that ends with `tokens`, which follow those given before."""
        for token in tokens:
            self._hash.update(token.to_bytes(4))
        return Digest(self._hash.digest())


def sign_bytes(key: Digest, width: int) -> bytes:
    """The signs for `width` channels, 4 bytes each: SHAKE-128 of the key.

    Entry j of channel i is multiplied by +1 where bit j mod 8, counted from the lowest, of byte 4i + j div 8 is set,
    and by -1 where it is not.
    """
    return hashlib.shake_128(key).digest(SIGN_BYTES * width)


def as_float16(value: float) -> float:
    (rounded,) = struct.unpack(">e", struct.pack(">e", value))
    return float(rounded)


def _rounded(value: float, scale: float) -> int:
    if scale == 0:
        return 0
    return max(-LARGEST_ENTRY, min(LARGEST_ENTRY, round(value / scale)))
