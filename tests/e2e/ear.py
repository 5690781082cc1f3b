"""A client's transport that remembers every signature that a node sends over it: of answers half told, too."""

from dataclasses import dataclass, field

from tallynet.devnet.passing import PassingStream, PassingTransport
from tallynet.network.frames import FROM_NODE
from tallynet.network.transport import PeerAddress, Stream, Transport
from tallynet.protocol.units import JobId, Signature
from tallynet.protocol.wire import HEADER_BYTES, JOB_PROTOCOL, Accepted, Finished, FromNode, Streamed, decode_length
from tests.e2e.watch import Wrong


@dataclass
class Ear:
    """All chunks and receipts that were signed for our jobs, whether or not a client could use them."""

    wrong: Wrong
    _chunks: dict[tuple[JobId, int], Signature] = field(default_factory=dict)
    _receipts: dict[JobId, Signature] = field(default_factory=dict)

    @property
    def signatures(self) -> int:
        return len(self._chunks) + len(self._receipts)

    def hear_chunk(self, job: JobId, number: int, frame: Streamed) -> None:
        """Signatures are deterministic: two for one place are for two texts."""
        signature = frame.chunk.signature
        if self._chunks.setdefault((job, number), signature) != signature:
            self.wrong.note("contradictions", f"two texts were signed as chunk {number} of job {job.hex()}")

    def hear_receipt(self, job: JobId, frame: Finished) -> None:
        signature = frame.receipt.signature
        if self._receipts.setdefault(job, signature) != signature:
            self.wrong.note("contradictions", f"two receipts were signed for job {job.hex()}")


class EavesdroppingTransport(PassingTransport):
    """Passes everything on untouched."""

    def __init__(self, honest: Transport, ear: Ear) -> None:
        super().__init__(honest)
        self._ear = ear

    async def open(self, to: PeerAddress, protocol: str) -> Stream:
        stream = await super().open(to, protocol)
        return _Overheard(stream, self._ear) if protocol == JOB_PROTOCOL else stream


class _Overheard(PassingStream):
    """One stream of jobs, one after another."""

    def __init__(self, honest: Stream, ear: Ear) -> None:
        super().__init__(honest)
        self._ear = ear
        self._unread = b""
        self._job: JobId | None = None
        self._chunks = 0

    async def receive(self, count: int) -> bytes:
        data = await super().receive(count)
        self._unread += data
        while len(self._unread) >= HEADER_BYTES:
            end = HEADER_BYTES + decode_length(self._unread[:HEADER_BYTES])
            if len(self._unread) < end:
                break
            frame, self._unread = self._unread[HEADER_BYTES:end], self._unread[end:]
            self._hear(FROM_NODE.decode(frame))
        return data

    def _hear(self, frame: FromNode) -> None:
        if isinstance(frame, Accepted):
            self._job, self._chunks = frame.job, 0
        elif self._job is not None and isinstance(frame, Streamed):
            self._ear.hear_chunk(self._job, self._chunks, frame)
            self._chunks += 1
        elif self._job is not None and isinstance(frame, Finished):
            self._ear.hear_receipt(self._job, frame)
