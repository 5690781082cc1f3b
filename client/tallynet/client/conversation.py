"""(3) One node about one order: every message is checked as it comes, before anybody sees it.

After any error a conversation is over and its stream is gone; after a receipt the stream is left to the next order.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Self

from tallynet.client.lines import Line
from tallynet.client.order import Order
from tallynet.client.ranking import Candidate
from tallynet.client.receipt_checks import check_receipt
from tallynet.network.frames import FROM_NODE, EndOfStream, receive_frame, send_frame
from tallynet.network.transport import Stream, Transport
from tallynet.protocol.chunk import ChunkBody, SignedChunk, accept_chunk
from tallynet.protocol.embedding import decode_embedding
from tallynet.protocol.errors import InvalidChunk, InvalidFrame, NodeUnreachable, Refused, TallyError
from tallynet.protocol.job import Task
from tallynet.protocol.receipt import SignedReceipt, VerifiedReceipt
from tallynet.protocol.request import decode_request
from tallynet.protocol.score import decode_score
from tallynet.protocol.units import Milliseconds, TokenIds
from tallynet.protocol.wire import Accepted, Cancel, Finished, FromNode, Rejected, Streamed, error_of

ACCEPT_SECONDS = 15.0
"""A node tokenises and decides within this."""
SILENCE_SECONDS = 30.0
"""Longest pause between two chunks; before the first, so much for the job and for each that waits before it."""

JOB_FAULTS = {("invalid-job", check) for check in (1, 4, 5, 9, 10, 11)}
"""Refusals (code, check of chapter 2) that every node with this model would repeat: no use to ask another."""


class NodeRefused(Refused):
    """A node will not do this job. `check` is the number of the rule in spec chapter 2, 0 where there is none."""

    def __init__(self, message: str, *, reason: str, check: int, remedy: str | None = None) -> None:
        super().__init__(message, reason=reason, remedy=remedy)
        self.check = check


class JobRefused(NodeRefused):
    """The fault is the job's own: its signature, its commitment, or a prompt that the model cannot read."""


class Conversation:
    """From `Submit` to the receipt."""

    def __init__(
        self,
        stream: Stream,
        line: Line,
        order: Order,
        candidate: Candidate,
        clock: Callable[[], Milliseconds],
    ) -> None:
        self.prompt: TokenIds = ()
        self.torn = False
        """True while reading, and for good when reading was cancelled: part of a message may be lost then."""
        self.signed_receipt: SignedReceipt | None = None
        self._stream = stream
        self._line = line
        self._order = order
        self._candidate = candidate
        self._clock = clock
        self._patience = SILENCE_SECONDS
        self._transcript = order.transcript(())

    @classmethod
    async def hand_in(
        cls, transport: Transport, line: Line, order: Order, candidate: Candidate, clock: Callable[[], Milliseconds]
    ) -> Self:
        """Take the line and its stream, and send the job. Raises `NodeUnreachable`; waits while the node's lines are
        all taken."""
        async with AsyncExitStack() as stack:
            await line.take()
            stack.callback(line.release)
            stream = await line.stream(transport, candidate.peer)
            stack.push_async_callback(stream.abort)
            await send_frame(stream, order.submit(), seconds=ACCEPT_SECONDS)
            stack.pop_all()
            return cls(stream, line, order, candidate, clock)

    async def hear_acceptance(self) -> None:
        """Wait until the node has taken the job.

        Raises `NodeUnreachable`, `InvalidFrame`, or the node's refusal: `Busy`, `Refused`, `JobRefused`.
        """
        async with self._over_after_an_error():
            message = await self._receive(ACCEPT_SECONDS)
            # (3) the node's first message takes the job or says why not
            if not isinstance(message, Accepted):
                raise _unexpected(message)
            # (4) it is this job that it takes
            if message.job != self._order.job.id:
                raise InvalidFrame(
                    f"the node accepts job {message.job.hex()}, it was given {self._order.job.id.hex()}", check=4
                )
        self.prompt = message.prompt
        self._patience = SILENCE_SECONDS * (1 + message.waiting)
        self._transcript = self._order.transcript(self.prompt)

    async def next(self) -> SignedChunk | VerifiedReceipt:
        """The next chunk, verified, or the receipt, which ends the conversation.

        Raises `InvalidChunk`, `InvalidReceipt`, `InvalidFrame`, `NodeUnreachable`, or what the node reports.
        """
        async with self._over_after_an_error():
            message = await self._receive(self._patience)
            self._patience = SILENCE_SECONDS
            if isinstance(message, Streamed):
                return self._accept(message.chunk)
            if isinstance(message, Finished):
                return self._finish(message.receipt)
            raise _unexpected(message)

    async def cancel(self) -> None:
        """Ask the node to stop; a receipt for what it did still follows. Raises `NodeUnreachable`."""
        if self.signed_receipt is None:
            await send_frame(self._stream, Cancel(), seconds=ACCEPT_SECONDS)

    async def abort(self) -> None:
        """Drop the stream and give the line back. Idempotent; after a receipt there is nothing to drop."""
        self._line.release()
        if self.signed_receipt is None:
            await self._stream.abort()

    @asynccontextmanager
    async def _over_after_an_error(self) -> AsyncIterator[None]:
        try:
            yield
        except Exception:
            await self.abort()
            raise

    async def _receive(self, seconds: float) -> FromNode:
        self.torn = True
        try:
            message = await receive_frame(self._stream, FROM_NODE, seconds=seconds)
        except EndOfStream as error:
            raise NodeUnreachable(f"node {self._stream.remote} closed the stream before the receipt.") from error
        self.torn = False
        return message

    def _accept(self, chunk: SignedChunk) -> SignedChunk:
        limit = self._order.job.job.sampling.max_tokens
        accept_chunk(self._transcript, chunk, self._order.domain, self._candidate.node, limit)
        return chunk

    def _finish(self, signed: SignedReceipt) -> VerifiedReceipt:
        receipt = check_receipt(signed, self._order, self._candidate, self._transcript, len(self.prompt), self._clock())
        if receipt.leaf.status.finished:
            _check_kind(self._order, self.prompt, self._transcript.bodies, signed)
        self.signed_receipt = signed
        self._line.keep(self._stream)
        return receipt


def _check_kind(order: Order, prompt: TokenIds, chunks: Sequence[ChunkBody], signed: SignedReceipt) -> None:
    """Raises `InvalidChunk`, with the receipt as evidence, when a whole answer is no vector or no score, and one was
    asked for."""
    try:
        if order.job.job.task == Task.EMBED:
            decode_embedding(chunks)
        if order.job.job.task == Task.SCORE:
            decode_score(decode_request(order.request), prompt, chunks)
    except InvalidChunk as error:
        error.evidence = {**error.evidence, "receipt": signed}
        raise


def _unexpected(message: FromNode) -> TallyError:
    """The error for a message that does not come at its turn."""
    if not isinstance(message, Rejected):
        return InvalidFrame(f"a {type(message).__name__} comes out of turn", check=3)
    error = error_of(message)
    if not isinstance(error, Refused):
        return error
    if (message.code, message.check) in JOB_FAULTS:
        remedy = "Correct the request: every node would refuse it."
        return JobRefused(error.message, reason=error.reason, check=message.check, remedy=remedy)
    return NodeRefused(error.message, reason=error.reason, check=message.check)
