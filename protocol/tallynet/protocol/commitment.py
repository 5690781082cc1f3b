"""Salted commitments: the log shows that something was said, and hides what, until it is opened.

`commit(tag, salt, data) = SHA-256(tag ‖ salt ‖ u64 length ‖ data)`. Every salt comes from one 32-byte secret
of the job, by HKDF-Expand (RFC 5869) under a label of its own, so that one part can be opened without the
others, and deleting the secret erases all of them. Source: spec chapter 1, "Commitments".
"""

import hashlib
import hmac
import struct
from collections.abc import Sequence

from tallynet.protocol.units import Digest, TokenIds

_REQUEST = b"tallynet/request/1\0"
_PROMPT = b"tallynet/prompt/1\0"
_OUTPUT = b"tallynet/output/1\0"
_EVIDENCE = b"tallynet/evidence/1\0"
_SEED = b"tallynet/seed/1\0"


def salt(secret: bytes, label: bytes) -> bytes:
    """32 bytes for one use: HKDF-Expand-SHA256(secret, label, 32)."""
    return hmac.digest(secret, label + b"\x01", "sha256")


def request_salt(secret: bytes) -> bytes:
    return salt(secret, b"request")


def prompt_salt(secret: bytes) -> bytes:
    return salt(secret, b"prompt")


def chunk_salt(secret: bytes, index: int) -> bytes:
    return salt(secret, b"output" + struct.pack(">I", index))


def commit(tag: bytes, salt: bytes, data: bytes) -> Digest:
    """The commitment of `data` under a 32-byte salt."""
    return Digest(hashlib.sha256(tag + salt + struct.pack(">Q", len(data)) + data).digest())


def commit_request(salt: bytes, encoded_request: bytes) -> Digest:
    """Job field `request` and leaf field `request`."""
    return commit(_REQUEST, salt, encoded_request)


def commit_prompt(salt: bytes, tokens: TokenIds) -> Digest:
    """The prompt as the model saw it: entry 0 of the trace."""
    return commit(_PROMPT, salt, pack_tokens(tokens))


def commit_chunk(salt: bytes, tokens: TokenIds, text: str) -> Digest:
    """One streamed chunk: its token ids and the text that they made certain."""
    return commit(_OUTPUT, salt, pack_tokens(tokens) + text.encode())


def hash_evidence(index: int, logprobs: Sequence[float], evidence: bytes) -> Digest:
    """Trace entry `index + 1`: what the engine measured while it made chunk `index`.

    `logprobs` are float32, big-endian; see `as_float32`.
    """
    packed = struct.pack(f">I{len(logprobs)}f", len(logprobs), *logprobs)
    return Digest(hashlib.sha256(_EVIDENCE + struct.pack(">I", index) + packed + evidence).digest())


def as_float32(values: Sequence[float]) -> tuple[float, ...]:
    """Each value rounded to the float32 that is committed to. Raises OverflowError beyond the range of float32."""
    form = f">{len(values)}f"
    return struct.unpack(form, struct.pack(form, *values))


def seed(job_id: bytes) -> Digest:
    """The 32 bytes that key the sampler's noise for a job (DESIGN decision 6)."""
    return Digest(hashlib.sha256(_SEED + job_id).digest())


def pack_tokens(tokens: TokenIds) -> bytes:
    """`u32 count ‖ u32 id …`, big-endian."""
    return struct.pack(f">I{len(tokens)}I", len(tokens), *tokens)
