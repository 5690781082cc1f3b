"""Vectors of the evidence: keys, signs and whole records, by the chapter's rules in plain Python."""

import hashlib
import math
import struct
from collections.abc import Sequence
from typing import Any

from tallynet.engine.evidence import GROUP_TOKENS, SKETCH_ENTRIES
from tallynet.protocol.commitment import pack_tokens, seed
from tallynet.protocol.units import Digest
from tests.protocol.examples import digest
from tests.protocol.json_form import write

SEED = seed(digest("job"))
PROMPT = (1, 5, 2047)
TOKENS = tuple(7 * number % 2048 for number in range(20))
WIDTH = 8
ROWS = 3


def evidence_cases() -> dict[str, Any]:
    return {
        "keys": {
            "seed": write(SEED),
            "prompt": list(PROMPT),
            "tokens": list(TOKENS),
            "groups": [{"last": end - 1, "key": write(key(end))} for end in (GROUP_TOKENS, len(TOKENS))],
        },
        "signs": {"key": write(key(GROUP_TOKENS)), "width": WIDTH, "bytes": "0x" + signs(GROUP_TOKENS).hex()},
        "records": {
            "seed": write(SEED),
            "prompt": list(PROMPT),
            "tokens": list(TOKENS),
            "rows": ROWS,
            "hidden": [list(row) for row in hidden()],
            "evidence": "0x" + (record(0, GROUP_TOKENS) + record(GROUP_TOKENS, len(TOKENS))).hex(),
        },
        "invalid": [
            {"evidence": "0x" + broken.hex(), "reason": reason} for broken, reason in invalid()
        ],
    }  # fmt: skip


def key(end: int) -> Digest:
    """Of the group that ends before token `end`."""
    prompt = hashlib.sha256(pack_tokens(PROMPT)).digest()
    tokens = b"".join(token.to_bytes(4) for token in TOKENS[:end])
    return Digest(hashlib.sha256(b"tallynet/sketch/1\0" + SEED + prompt + tokens).digest())


def signs(end: int) -> bytes:
    return hashlib.shake_128(key(end)).digest(4 * WIDTH)


def hidden() -> list[tuple[float, ...]]:
    """Exact in float32, and without ties when rounded."""
    return [
        tuple(int.from_bytes(digest(f"hidden {token} {channel}")[:2]) / 4096 - 8 for channel in range(WIDTH))
        for token in range(len(TOKENS))
    ]


def record(start: int, end: int) -> bytes:
    """By the chapter, with exact sums."""
    states, packed = hidden()[start:end], signs(end)
    sketch = [_entry(states, packed, entry) for entry in range(SKETCH_ENTRIES)]
    (scale,) = struct.unpack(">e", struct.pack(">e", max(map(abs, sketch)) / 127))
    entries = [round(value / scale) for value in sketch]
    exact = hashlib.sha256(b"".join(struct.pack(f"<{WIDTH}f", *state) for state in states)).digest()
    return struct.pack(f">eB{SKETCH_ENTRIES}b", scale, ROWS, *entries) + exact


def invalid() -> list[tuple[bytes, str]]:
    whole = record(0, GROUP_TOKENS)
    return [
        (whole[:-1], "63 bytes are no record"),
        (b"\x7e\x00" + whole[2:], "the scale is no number"),
        (b"\x7c\x00" + whole[2:], "the scale is infinite"),
        (b"\xbc\x00" + whole[2:], "the scale is below 0"),
        (whole[:2] + b"\0" + whole[3:], "no generation ran"),
        (whole[:3] + b"\x80" + whole[4:], "an entry is -128"),
    ]


def _entry(states: Sequence[tuple[float, ...]], packed: bytes, entry: int) -> float:
    total = 0.0
    for channel in range(WIDTH):
        column = sum((-1) ** at * state[channel] for at, state in enumerate(states))
        total += column if packed[4 * channel + entry // 8] >> (entry % 8) & 1 else -column
    return total / math.sqrt(WIDTH * len(states))
