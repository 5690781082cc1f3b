"""(4) A leaf: what a node's log keeps of one job, 352 bytes, no text. Source: spec chapter 4."""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Self

from tallynet.protocol import merkle
from tallynet.protocol.errors import InvalidReceipt
from tallynet.protocol.units import Address, Digest, JobId, Milliseconds, ModelId, Signature, Wei

VERSION = 1
_FORM = struct.Struct(">BB32s20s32s32s32s32s32sII16sQQB32s65s")
LEAF_BYTES = _FORM.size
"""352."""
MAX_TIME = 2**53
"""Times are below this, in milliseconds since the epoch."""


class Kind(IntEnum):
    """What an entry of the log is about. Other numbers are reserved."""

    JOB = 1


class Status(IntEnum):
    """How a job ended. 0-2 are the engine's own reasons, the others say why it was cut short."""

    EOS = 0
    """The model said that it is done."""
    LENGTH = 1
    """The token limit of the job or of the model was reached."""
    STOP = 2
    """A stop string appeared."""
    CANCELLED = 3
    """The client cancelled or went away."""
    DEADLINE = 4
    """The job's deadline passed."""
    SHUTDOWN = 5
    """The node was stopped by its operator."""
    FAILED = 6
    """The node could not finish: its engine failed."""

    @property
    def finished(self) -> bool:
        """Whether the model came to its own end."""
        return self <= Status.STOP


_KINDS = {int(kind): kind for kind in Kind}
_STATUSES = {int(status): status for status in Status}


@dataclass(frozen=True, slots=True)
class Leaf:
    """One entry of the log, in the order of its bytes. All numbers are big-endian and unsigned."""

    job: JobId
    client: Address
    model: ModelId
    runtime: Digest
    """SHA-256 of the engine's environment record."""
    params: Digest
    """EIP-712 struct hash of the job's sampling parameters."""
    request: Digest
    """Salted commitment of the request."""
    output: Digest
    """RFC 9162 root over the salted commitments of the answer's chunks."""
    prompt_tokens: int
    completion_tokens: int
    price: Wei
    """What the job costs, in wei; at most the job's ceiling."""
    started: Milliseconds
    """When the node began, by its own clock."""
    ended: Milliseconds
    """When it stopped; not before `started` (chapter 6 checks that: here it is only read)."""
    status: Status
    trace: Digest
    """RFC 9162 root over the prompt's commitment and each chunk's evidence."""
    client_signature: Signature
    """The client's signature of the job, so that any reader sees that it was asked for."""
    kind: Kind = Kind.JOB

    def pack(self) -> bytes:
        """The 352 bytes that go into the log."""
        return _FORM.pack(
            VERSION,
            self.kind,
            self.job,
            self.client,
            self.model,
            self.runtime,
            self.params,
            self.request,
            self.output,
            self.prompt_tokens,
            self.completion_tokens,
            self.price.to_bytes(16, "big"),
            self.started,
            self.ended,
            self.status,
            self.trace,
            self.client_signature,
        )

    @property
    def hash(self) -> Digest:
        """The RFC 9162 leaf hash: SHA-256(0x00 ‖ leaf)."""
        return merkle.leaf_hash(self.pack())

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """Read a leaf; raises `InvalidReceipt` for anything that `pack` would not have written."""
        # (1) it has the one length
        if len(data) != LEAF_BYTES:
            raise InvalidReceipt(f"the leaf has {len(data)} bytes, not {LEAF_BYTES}", check=1)
        version, kind, *head, price, started, ended, status, trace, signature = _FORM.unpack(data)
        known_kind, known_status = _KINDS.get(kind), _STATUSES.get(status)
        # (2) its version, kind and status are known, and its times are in bounds
        timely = started < MAX_TIME and ended < MAX_TIME
        if version != VERSION or known_kind is None or known_status is None or not timely:
            raise InvalidReceipt(
                f"the leaf is of version {version}, kind {kind}, status {status}, from {started} to {ended} ms: "
                "not known here",
                check=2,
            )
        wei = Wei(int.from_bytes(price, "big"))
        known = (*head, wei, started, ended, known_status, trace, signature, known_kind)
        return cls(*known)
