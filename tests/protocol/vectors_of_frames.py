"""Vectors of the wire: each message with its bytes, and bytes that no reader may take."""

from collections.abc import Iterator
from typing import Any

import msgspec

from tallynet.protocol.wire import HEADER_BYTES, MAX_FRAME_BYTES, Frame, encode_frame
from tests.protocol.examples import valid_frames
from tests.protocol.json_form import write

PROTOCOL_OF = {
    "submit": "/tallynet/job/1 client",
    "cancel": "/tallynet/job/1 client",
    "accepted": "/tallynet/job/1 node",
    "chunk": "/tallynet/job/1 node",
    "receipt": "/tallynet/job/1 node",
    "rejected": "/tallynet/job/1 node",
    "ask-adverts": "/tallynet/info/1 client",
    "adverts": "/tallynet/info/1 node",
    "ask-checkpoint": "/tallynet/log/1 client",
    "ask-file": "/tallynet/log/1 client",
    "ask-inclusion": "/tallynet/log/1 client",
    "ask-consistency": "/tallynet/log/1 client",
    "ask-receipt": "/tallynet/log/1 client",
    "ask-opening": "/tallynet/log/1 client",
    "opening": "/tallynet/log/1 node",
    "no-consent": "/tallynet/log/1 node",
    "not-kept": "/tallynet/log/1 node",
    "checkpoint": "/tallynet/log/1 node",
    "file": "/tallynet/log/1 node",
    "proof": "/tallynet/log/1 node",
}
FRAMES = valid_frames()
pack = msgspec.msgpack.encode


def frames() -> dict[str, Any]:
    return {
        "valid": [
            {"sender": PROTOCOL_OF[tag], "fields": {"t": tag, **write(frame)}, "frame": write(encode_frame(frame))}
            for tag, frame in FRAMES.items()
        ],
        "invalid": [
            {"sender": PROTOCOL_OF[tag], "frame": write(framed(body)), "error": "invalid-frame", "check": 2,
             "reason": reason}
            for tag, body, reason in bad_bodies()
        ],
        "invalid_lengths": [
            {"header": write(length.to_bytes(4, "big")), "error": "invalid-frame", "check": 1, "reason": reason}
            for length, reason in ((0, "empty"), (MAX_FRAME_BYTES + 1, "over the cap"), (2**32 - 1, "huge"))
        ],
    }  # fmt: skip


def bad_bodies() -> Iterator[tuple[str, bytes, str]]:
    """One thing broken at a time."""
    yield "cancel", b"\xc1", "a byte that msgpack never uses"
    yield "cancel", pack(["cancel"]), "a list, not a map"
    yield "cancel", pack({"t": "stop"}), "an unknown type"
    yield "cancel", pack({}), "no type"
    yield "cancel", pack({"t": "cancel", "why": "x"}), "an unknown field"
    yield "cancel", pack({"t": "cancel"}) + b"\0", "a byte after the end"
    yield "cancel", b"\x81\xa1t\xc4\x06cancel", "a type in bytes, not in text"
    yield "cancel", body_of(FRAMES["ask-checkpoint"]), "a message of another protocol"
    yield "cancel", body_of(FRAMES["accepted"]), "a message of the other side"
    yield "cancel", b"\x81\xa1t" + b"\x91" * 4000, "nested without end"
    yield "cancel", b"\xdf\xff\xff\xff\xff", "a map that announces 2**32 - 1 fields"
    yield "submit", body_of(FRAMES["submit"])[:-1], "truncated"
    yield "submit", without("submit", "signed", "job", "nonce"), "a job without its nonce"
    yield "submit", changed("submit", -1, "signed", "job", "max_price"), "a negative price"
    yield "submit", changed("submit", 2**63, "signed", "job", "max_price"), "a price of 2**63"
    yield "submit", changed("submit", 1.0, "signed", "job", "deadline"), "a float for an integer"
    yield "submit", changed("submit", 0, "signed", "job", "sampling", "max_tokens"), "zero tokens"
    yield "submit", changed("submit", 8193, "signed", "job", "sampling", "max_tokens"), "8193 tokens"
    yield "submit", changed("submit", ["x"] * 9, "signed", "job", "sampling", "stop"), "nine stop strings"
    yield "submit", changed("submit", bytes(64), "signed", "signature"), "a signature of 64 bytes"
    yield "submit", changed("submit", bytes(31), "secret"), "a secret of 31 bytes"
    yield "accepted", changed("accepted", [2**32], "prompt"), "a token id of 2**32"
    yield "chunk", changed("chunk", [0] * 17, "chunk", "body", "tokens"), "17 tokens in a chunk"
    yield "chunk", changed("chunk", [float("nan")] * 16, "chunk", "body", "logprobs"), "a logprob that is no number"
    yield "chunk", changed("chunk", [0.5] * 16, "chunk", "body", "logprobs"), "a logprob above 0"
    yield "rejected", body_of(FRAMES["rejected"]).replace(b"17 jobs", b"\xff7 jobs"), "not UTF-8"
    yield "rejected", changed("rejected", "Busy!", "code"), "a code that is none"
    yield (
        "adverts",
        changed("adverts", "a\x1b[2J", "adverts", 0, "advert", "offers", 0, "name"),
        "a name that moves a cursor",
    )
    yield "ask-file", changed("ask-file", "x" * 65, "path"), "a path of 65 characters"
    yield "ask-file", changed("ask-file", "tile/0/000\n", "path"), "a path with a line end"
    yield "file", changed("file", "text", "data"), "a file in text, not in bytes"
    yield "ask-adverts", changed("ask-adverts", bytes(21), "node"), "an address of 21 bytes"
    yield "proof", changed("proof", [bytes(32)] * 64, "path"), "64 hashes"


def framed(body: bytes) -> bytes:
    return len(body).to_bytes(HEADER_BYTES, "big") + body


def body_of(frame: Frame) -> bytes:
    return encode_frame(frame)[HEADER_BYTES:]


def changed(tag: str, value: object, *place: str | int) -> bytes:
    """The valid message with another value at one place."""
    message = inner = msgspec.msgpack.decode(body_of(FRAMES[tag]))
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    return pack(message)


def without(tag: str, *place: str) -> bytes:
    message = inner = msgspec.msgpack.decode(body_of(FRAMES[tag]))
    for step in place[:-1]:
        inner = inner[step]
    del inner[place[-1]]
    return pack(message)
