"""Bundles whose lines hold what no leaf, job, receipt, opening or anchor can be: check (1)."""

import struct
from base64 import b64encode
from dataclasses import replace

from tallynet.protocol.bundle import Bundle, write_bundle
from tallynet.protocol.bundle_openings import OpenedChunk, OpenedRequest, Part, open_part
from tallynet.protocol.units import Digest
from tests.audit.examples import bundle
from tests.audit.forging import body_of, line_of, packed_of, seal, swap, swap_packed, value_of
from tests.audit.ways import way

VALID = write_bundle(bundle()).encode()
BODY = body_of(VALID)
LEAF, JOB, RECEIPT = (packed_of(VALID, label) for label in ("leaf", "job", "receipt"))
STATUS_AT = 254
FIXED = 66
"""Bytes of a packed job before its stop strings."""


@way(1, "the leaf has 351 bytes, not 352")
def leaf_cut_short() -> bytes:
    """The leaf lacks its last byte."""
    return swap_packed(VALID, "leaf", LEAF[:-1])


@way(1, "the leaf is of version 2")
def leaf_of_another_version() -> bytes:
    """The leaf is of a version that does not exist."""
    return swap_packed(VALID, "leaf", b"\x02" + LEAF[1:])


@way(1, "status 9")
def leaf_of_an_unknown_status() -> bytes:
    """The leaf ended in a way that does not exist."""
    return swap_packed(VALID, "leaf", LEAF[:STATUS_AT] + b"\x09" + LEAF[STATUS_AT + 1 :])


@way(1, "'job' cannot be read")
def job_cut_short() -> bytes:
    """The job ends within its nonce."""
    return swap_packed(VALID, "job", JOB[:50])


@way(1, "'job' cannot be read: 1 bytes hold no 0 parents")
def job_with_a_byte_too_many() -> bytes:
    """A byte follows the job's last field."""
    return swap_packed(VALID, "job", JOB + b"\0")


@way(1, "'job' cannot be read")
def job_with_a_consent_of_2() -> bytes:
    """The job neither gives nor refuses its consent to an audit."""
    return swap_packed(VALID, "job", JOB[:1] + b"\x02" + JOB[2:])


@way(1, "`int` >= 1 - at `$.max_tokens`")
def job_for_no_tokens() -> bytes:
    """The job asks for an answer of at most 0 tokens."""
    return swap_packed(VALID, "job", JOB[:2] + bytes(4) + JOB[6:])


@way(1, "`int` <= 10000000 - at `$.temperature_millionths`")
def job_that_is_too_hot() -> bytes:
    """The job's temperature is above 10."""
    return swap_packed(VALID, "job", JOB[:6] + struct.pack(">I", 10_000_001) + JOB[10:])


@way(1, "it is cut short in its stop strings")
def job_with_a_stop_string_cut_short() -> bytes:
    """A stop string announces more bytes than there are."""
    return swap_packed(VALID, "job", JOB[:FIXED] + b"\x01\0\x09###")


@way(1, "'utf-8' codec can't decode")
def job_with_a_stop_string_that_is_no_text() -> bytes:
    """A stop string is not UTF-8."""
    return swap_packed(VALID, "job", JOB[:FIXED] + b"\x01\0\x01\xff\0")


@way(1, "'job' cannot be read: 0 bytes hold no 1 parents")
def job_that_announces_a_parent() -> bytes:
    """The job names one parent and does not say which."""
    return swap_packed(VALID, "job", JOB[:-1] + b"\x01")


@way(1, "'receipt' cannot be read")
def receipt_with_a_byte_too_many() -> bytes:
    """A byte follows the receipt's signature."""
    return swap_packed(VALID, "receipt", RECEIPT + b"\0")


@way(1, "at `$.index`")
def receipt_beyond_any_log() -> bytes:
    """The receipt promises an index that no log has."""
    return swap_packed(VALID, "receipt", struct.pack(">Q", 2**40) + RECEIPT[8:])


@way(1, "'secret' has 31 bytes, not 32")
def secret_cut_short() -> bytes:
    """The secret lacks a byte."""
    return swap_packed(VALID, "secret", bytes(31))


@way(1, "line 11 should hold 'request' and begins with b'prompt")
def secret_without_a_request() -> bytes:
    """The whole is opened, and the request is missing."""
    return seal(BODY.replace(line_of(VALID, "request"), b""))


@way(1, "line 12 should hold 'prompt' and begins with b'chunk")
def chunk_before_the_prompt() -> bytes:
    """A chunk stands before the prompt."""
    prompt, chunk = line_of(VALID, "prompt"), line_of(VALID, "chunk")
    return seal(BODY.replace(prompt + chunk, chunk + prompt))


@way(1, "'prompt' of 4 bytes announces 4294967295 tokens")
def prompt_that_announces_too_many_tokens() -> bytes:
    """The prompt announces more tokens than any can have."""
    return swap_packed(VALID, "prompt", b"\xff" * 4)


@way(1, "'prompt' has 1 bytes after its tokens")
def prompt_with_a_byte_too_many() -> bytes:
    """A byte follows the prompt's last token."""
    return swap_packed(VALID, "prompt", packed_of(VALID, "prompt") + b"\0")


@way(1, "announces 17 tokens")
def chunk_of_17_tokens() -> bytes:
    """A chunk has more tokens than any may have."""
    return swap_packed(VALID, "chunk", struct.pack(">I17I17fI", 17, *range(17), *[-1.0] * 17, 0))


@way(1, "is cut short in its evidence")
def chunk_with_evidence_cut_short() -> bytes:
    """A chunk announces more evidence than there is."""
    return swap_packed(VALID, "chunk", struct.pack(">II", 0, 9))


@way(1, "<= 0.0 - at `$.logprobs[0]`")
def chunk_more_likely_than_certain() -> bytes:
    """A token has a log-probability above 0."""
    return swap_packed(VALID, "chunk", struct.pack(">IIfI", 1, 7, 0.5, 0))


@way(1, "at `$.logprobs[0]`")
def chunk_with_a_logprob_that_is_no_number() -> bytes:
    """A token's log-probability is not a number."""
    return swap_packed(VALID, "chunk", struct.pack(">IIfI", 1, 7, float("nan"), 0))


@way(1, "a chunk breaks its bounds: 'utf-8' codec")
def chunk_that_is_no_text() -> bytes:
    """A chunk's text is not UTF-8."""
    return swap_packed(VALID, "chunk", struct.pack(">II", 0, 0) + b"\xff")


@way(1, "comes after the last that can stand there")
def whole_and_part() -> bytes:
    """The whole is opened, and a chunk once more by itself."""
    opened = write_bundle(replace(bundle(), opening=open_part(bundle().opening, [1]))).encode()
    return seal(BODY.replace(b"\n\n", b"\n" + line_of(opened, "opened-chunk") + b"\n", 1))


@way(1, "it lists closed chunks and opens none")
def closed_chunks_alone() -> Bundle:
    """Every chunk is listed as closed."""
    return replace(bundle(), opening=Part(None, (Digest(bytes(32)),)))


@way(1, "'opened-request' of 5 bytes has no salt")
def opened_request_without_a_salt() -> Bundle:
    """The opened request is shorter than its salt."""
    return replace(bundle(), opening=Part(OpenedRequest(b"hello", b""), ()))


@way(1, "'opened-chunk' of")
def opened_chunk_without_a_salt() -> Bundle:
    """The opened chunk is shorter than its salt."""
    return replace(bundle(), opening=Part(None, (OpenedChunk(b"hello", (), ""),)))


@way(1, "'closed-chunk' has 31 bytes, not 32")
def closed_chunk_cut_short() -> bytes:
    """The commitment of a closed chunk lacks a byte."""
    opened = write_bundle(replace(bundle(), opening=open_part(bundle().opening, [1]))).encode()
    return swap_packed(opened, "closed-chunk", bytes(31))


@way(1, "'anchor' is b'12 1767229200', not two numbers and two hashes")
def anchor_without_hashes() -> bytes:
    """The anchor names block and time alone."""
    return swap(VALID, "anchor", b"12 1767229200")


@way(1, "not two numbers and two hashes")
def anchor_with_a_leading_zero() -> bytes:
    """The block's number begins with 0."""
    return swap(VALID, "anchor", b"0" + value_of(VALID, "anchor"))


@way(1, "'anchor' holds a number of 2**53 or more")
def anchor_too_late() -> bytes:
    """The block's number takes 54 bits."""
    return swap(VALID, "anchor", str(2**53).encode() + value_of(VALID, "anchor")[2:])


@way(1, "'anchor' has 31 bytes, not 32")
def anchor_with_a_short_hash() -> bytes:
    """The block's hash lacks a byte."""
    block, time, block_hash, transaction = value_of(VALID, "anchor").split(b" ")
    return swap(VALID, "anchor", b" ".join((block, time, b64encode(bytes(31)), transaction)))
