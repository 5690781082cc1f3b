"""What crosses the network: every message, its size cap, and the one way to write it.

A frame is `u32 length ‖ msgpack map`, the map tagged with `t`. Unknown fields and types, bytes after the end,
numbers and texts outside their bounds are refused here, once. Source: spec chapters 2 to 5, "Frames".
"""

import struct
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import Meta, Struct

from tallynet.protocol.advert import SignedAdvert
from tallynet.protocol.checkpoint import SignedCheckpoint
from tallynet.protocol.chunk import SignedChunk
from tallynet.protocol.errors import Busy, Deferred, Invalid, InvalidFrame, Pending, Refused, TallyError
from tallynet.protocol.job import JOB_WORDS, Bytes20, Bytes32, SignedJob
from tallynet.protocol.opening import MAX_PARTS, MAX_SEALED_BYTES, SignedOpeningRequest
from tallynet.protocol.receipt import MAX_LOG_SIZE, SignedReceipt
from tallynet.protocol.request import MAX_REQUEST_BYTES
from tallynet.protocol.tiles import MAX_PATH_CHARACTERS
from tallynet.protocol.units import Address, Digest, JobId, ModelId, printable

JOB_PROTOCOL = "/tallynet/job/1"
"""Submit a job, follow its answer."""
INFO_PROTOCOL = "/tallynet/info/1"
"""Ask a peer for the adverts it knows."""
LOG_PROTOCOL = "/tallynet/log/1"
"""Read a node's log: checkpoint, tiles, entries, proofs; as an auditor, what was drawn of it."""
ADVERT_TOPIC = "tallynet/advert/1"
"""Gossip of signed adverts."""

MAX_FRAME_BYTES = 512 * 1024
HEADER_BYTES = 4
MAX_ENTRIES = 1024
"""Most leaves in one reply over HTTP."""
MAX_FILE_BYTES = 2**17
"""Of a file of the tile log; an entry bundle, the largest, has 90624."""
MAX_PATH = 63
MAX_ADVERTS = 256
MAX_PROMPT_TOKENS = 65536
"""Longest prompt whose token ids fit a frame."""
MAX_REASON = 1024
"""Characters of a refusal's reason."""
MAX_RETRY_MS = 2**32 - 1

_Hash = Annotated[Digest, Bytes32]
_Path = Annotated[tuple[_Hash, ...], Meta(max_length=MAX_PATH)]
_Size = Annotated[int, Meta(ge=0, le=MAX_LOG_SIZE)]


class Frame(Struct, frozen=True, forbid_unknown_fields=True, tag_field="t"):
    """Base of all messages."""


# --- /tallynet/job/1 -------------------------------------------------------------------------------------


class Submit(Frame, frozen=True, tag="submit"):
    """Client to node: do this job. Sending the same job again attaches to the same run."""

    signed: SignedJob
    request: Annotated[bytes, Meta(max_length=MAX_REQUEST_BYTES)]
    """The encoded request that the job commits to."""
    secret: Annotated[bytes, Bytes32]
    """All salts of the job come from it."""


class Cancel(Frame, frozen=True, tag="cancel"):
    """Client to node: stop; a receipt for what was done still follows."""


class Accepted(Frame, frozen=True, tag="accepted"):
    """Node to client: the job is taken."""

    job: Annotated[JobId, Bytes32]
    prompt: Annotated[tuple[Annotated[int, Meta(ge=0, lt=2**32)], ...], Meta(max_length=MAX_PROMPT_TOKENS)]
    """The prompt's token ids under the model's own template."""
    waiting: Annotated[int, Meta(ge=0, lt=2**32)]
    """Jobs that come before this one."""


class Streamed(Frame, frozen=True, tag="chunk"):
    """Node to client: the next chunk."""

    chunk: SignedChunk


class Finished(Frame, frozen=True, tag="receipt"):
    """Node to client: the end, with the receipt."""

    receipt: SignedReceipt


class Rejected(Frame, frozen=True, tag="rejected"):
    """Node to client: no, and why. Nothing was run or logged."""

    code: Annotated[str, Meta(pattern=r"\A[a-z][a-z-]{0,63}\Z")]
    """Code of an error of `errors.py`."""
    check: Annotated[int, Meta(ge=0, lt=1000)]
    """Number of the broken rule in spec chapter 2; 0 where there is none."""
    reason: Annotated[str, Meta(max_length=MAX_REASON)]
    retry_after_ms: Annotated[int, Meta(ge=0, le=MAX_RETRY_MS)] = 0
    """Above 0: not now, but perhaps after so long."""


# --- /tallynet/info/1 ------------------------------------------------------------------------------------


class AskAdverts(Frame, frozen=True, tag="ask-adverts"):
    """Which adverts do you know, your own included?"""

    model: Annotated[ModelId, Bytes32] | None = None
    """Only those that offer this model."""
    node: Annotated[Address, Bytes20] | None = None
    """Only the one of this node that tells of its largest log, even when that advert is over."""


class Adverts(Frame, frozen=True, tag="adverts"):
    adverts: Annotated[tuple[SignedAdvert, ...], Meta(max_length=MAX_ADVERTS)]


# --- /tallynet/log/1 -------------------------------------------------------------------------------------


class AskCheckpoint(Frame, frozen=True, tag="ask-checkpoint"):
    """Your newest signed head, please."""


class Head(Frame, frozen=True, tag="checkpoint"):
    node: Annotated[Address, Bytes20]
    signed: SignedCheckpoint


class AskFile(Frame, frozen=True, tag="ask-file"):
    """A file of the tile log: `checkpoint`, `vkey`, `tile/…`."""

    path: Annotated[str, Meta(max_length=MAX_PATH_CHARACTERS, pattern=r"\A[!-~]*\Z")]


class File(Frame, frozen=True, tag="file"):
    """Its bytes, as they are served over HTTP."""

    data: Annotated[bytes, Meta(max_length=MAX_FILE_BYTES)]


class AskInclusion(Frame, frozen=True, tag="ask-inclusion"):
    index: _Size
    size: _Size
    """Size of the tree that the proof leads to, index < size."""


class AskConsistency(Frame, frozen=True, tag="ask-consistency"):
    old: _Size
    new: _Size


class ProofPath(Frame, frozen=True, tag="proof"):
    path: _Path


class AskReceipt(Frame, frozen=True, tag="ask-receipt"):
    """The receipt of a job, if it is in the log."""

    job: Annotated[JobId, Bytes32]


class AskOpening(Frame, frozen=True, tag="ask-opening"):
    """An auditor to the node: the bundle of a run that was drawn, sealed to me."""

    signed: SignedOpeningRequest
    part: Annotated[int, Meta(ge=0, lt=MAX_PARTS)]
    """Which part of it, from 0."""


class SealedOpening(Frame, frozen=True, tag="opening"):
    """One part of the bundle."""

    parts: Annotated[int, Meta(ge=1, le=MAX_PARTS)]
    """How many there are."""
    sealed: Annotated[bytes, Meta(max_length=MAX_SEALED_BYTES)]
    """See `sealing.py`."""


class NoConsent(Frame, frozen=True, tag="no-consent"):
    """The job's client gave no consent: the words of the job, from which anybody sees that."""

    words: Annotated[tuple[Annotated[bytes, Bytes32], ...], Meta(min_length=JOB_WORDS, max_length=JOB_WORDS)]


class NotKept(Frame, frozen=True, tag="not-kept"):
    """The opening is no longer kept."""

    kept_seconds: Annotated[int, Meta(ge=0, lt=2**32)]
    """How long this node keeps one, after the promised time of the run's anchor."""


FromClient = Submit | Cancel
FromNode = Accepted | Streamed | Finished | Rejected
InfoAsk = AskAdverts
InfoAnswer = Adverts | Rejected
LogAsk = AskCheckpoint | AskFile | AskInclusion | AskConsistency | AskReceipt | AskOpening
LogAnswer = Head | File | ProofPath | Finished | SealedOpening | NoConsent | NotKept | Rejected

T = TypeVar("T")

_ENCODER = msgspec.msgpack.Encoder()


def encode_frame(frame: Frame) -> bytes:
    """The length and the message. Raises ValueError for a message over the cap: that is our own bug."""
    body = _ENCODER.encode(frame)
    if len(body) > MAX_FRAME_BYTES:
        raise ValueError(f"a {type(frame).__name__} of {len(body)} bytes is over {MAX_FRAME_BYTES}")
    return struct.pack(">I", len(body)) + body


def decode_length(header: bytes) -> int:
    """Read the four bytes before a message; raises `InvalidFrame` unless 1 ≤ length ≤ MAX_FRAME_BYTES."""
    length = int.from_bytes(header, "big")
    # (1) the length is within the cap
    if len(header) != HEADER_BYTES or not 1 <= length <= MAX_FRAME_BYTES:
        raise InvalidFrame(f"the frame's length is {length}, not within 1 to {MAX_FRAME_BYTES}", check=1)
    return length


class Codec(Generic[T]):
    """Decodes the messages that one side of one protocol may send."""

    def __init__(self, union: Any) -> None:
        """`union` is one of the unions above."""
        self._decoder: msgspec.msgpack.Decoder[T] = msgspec.msgpack.Decoder(union)

    def decode(self, body: bytes) -> T:
        """Read and check one message; raises `InvalidFrame`, or what a part's own rules raise."""
        # (2) it is a message of this protocol, every field present, known and within its bounds
        try:
            return self._decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidFrame(f"the frame cannot be read: {printable(str(error))}", check=2) from error


def rejection(error: TallyError) -> Rejected:
    """How an error is told to the peer that caused it."""
    check = error.check if isinstance(error, Invalid) and error.check is not None else 0
    retry = min(max(error.retry_after_ms, 1), MAX_RETRY_MS) if isinstance(error, Deferred) else 0
    return Rejected(error.code, check, printable(error.message, MAX_REASON), retry)


def error_of(rejected: Rejected) -> TallyError:
    """The error to raise for a peer's refusal."""
    reason = printable(rejected.reason, MAX_REASON)
    if rejected.retry_after_ms:
        kind = Pending if rejected.code == Pending.code else Busy
        return kind(f"The node defers: {reason}", retry_after_ms=rejected.retry_after_ms)
    number = f"({rejected.check}) " if rejected.check else ""
    return Refused(f"The node refuses, {rejected.code}: {number}{reason}", reason=reason)
