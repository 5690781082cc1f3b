"""The words every message is made of, as types that cannot be mixed up."""

from typing import NewType

Digest = NewType("Digest", bytes)
"""32 bytes: a SHA-256 or keccak-256 hash; which one is said where it is made."""

Address = NewType("Address", bytes)
"""20 bytes: the EVM address of a secp256k1 key, and so the name of a client or a node."""

Signature = NewType("Signature", bytes)
"""65 bytes `r ‖ s ‖ v`, secp256k1, low s, v in {27, 28}."""

PeerId = NewType("PeerId", str)
"""A libp2p peer id in base58: the identity multihash of the compressed public key."""

ModelId = NewType("ModelId", bytes)
"""32 bytes: the digest of a model manifest (spec chapter 1)."""

JobId = NewType("JobId", bytes)
"""32 bytes: the EIP-712 digest of a job, within its chain and contract."""

Wei = NewType("Wei", int)
"""An amount of the chain's native coin, 0 ≤ x < 2**128."""

Milliseconds = NewType("Milliseconds", int)
"""Milliseconds since the Unix epoch, UTC, 0 ≤ x < 2**53."""

Seconds = NewType("Seconds", int)
"""Whole seconds since the Unix epoch as a contract sees them, 0 ≤ x < 2**53."""

TokenIds = tuple[int, ...]
"""Token ids of a model's vocabulary, each 0 ≤ id < 2**32."""

ZERO_DIGEST = Digest(bytes(32))
"""Stands for 'none' where a digest is optional in a fixed-width form."""


def short(value: bytes) -> str:
    """The first and last bytes in hex, for people: `7c1e…a49f`."""
    text = value.hex()
    return text if len(text) <= 12 else f"{text[:4]}…{text[-4:]}"


def printable(text: str, limit: int = 200) -> str:
    """Foreign text for a message or a log line: at most `limit` characters, what is not printable as `?`.

    A peer that could write control characters could move a terminal's cursor and forge lines.
    """
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return "".join(character if character.isprintable() else "?" for character in cut)


def prefixed(value: bytes) -> str:
    """The whole value in hex with `0x`, for JSON and the command line."""
    return "0x" + value.hex()
