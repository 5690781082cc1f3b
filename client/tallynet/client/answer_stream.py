"""An answer as it comes: verified pieces of text, then the answer with its receipt.

    async with client.stream("tally-tiny", "Tell me a story.") as stream:
        async for piece in stream:
            print(piece, end="")
    print(stream.answer.price)

Everything happens while the next piece is asked for: there is no task in the background, and nothing to leak. A
whole answer fits the connection's window, so that a slow reader costs nobody anything.
"""

from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Self

import trio

from tallynet.client.answer import Answer
from tallynet.client.conversation import JobRefused
from tallynet.client.dispatch import Dispatch
from tallynet.client.order import Order
from tallynet.protocol.bundle import Bundle
from tallynet.protocol.chunk import ChunkBody, SignedChunk
from tallynet.protocol.errors import NodeUnreachable
from tallynet.protocol.request import NO_MESSAGES
from tallynet.protocol.units import Address, JobId

RECEIPT_SECONDS = 2.0
"""How long leaving an unfinished answer waits for the receipt of its part."""


class OutOfTime(NodeUnreachable):
    """The deadline that the user gave has passed before the answer was whole."""


class AnswerStream:
    """An asynchronous context manager and iterator. The deadline runs from `async with`, or from the first piece.

    Leaving the block early cancels the job; the receipt for what was done is waited for, RECEIPT_SECONDS at most.
    Not for several tasks at once.
    """

    def __init__(
        self,
        prepare: Callable[[], Awaitable[Dispatch]],
        seconds: float,
        keep: Callable[[Bundle], Awaitable[None]],
        *,
        otherwise: Sequence[Callable[[], Awaitable[Dispatch]]] = (),
    ) -> None:
        """`prepare` finds the nodes and signs the job; `seconds` bound everything from the start to the receipt.

        `keep` is handed the bundle, without its text, once there is a receipt. `otherwise` is what to ask, one after
        the other, when the model takes no messages: a job that was refused was neither run nor paid.
        """
        self._ways = (prepare, *otherwise)
        self._seconds = seconds
        self._keep = keep
        self._kept = False
        self._dispatch: Dispatch | None = None
        self._began: float | None = None
        self._left = False

    @property
    def chunks(self) -> Sequence[ChunkBody]:
        """Everything verified so far: tokens, text, logprobs."""
        return [chunk.body for chunk in self._dispatch.chunks] if self._dispatch else []

    @property
    def text(self) -> str:
        return "".join(body.text for body in self.chunks)

    @property
    def order(self) -> Order:
        """The signed job, and what was asked with it. Raises RuntimeError before `start`."""
        return self._started().order

    @property
    def job(self) -> JobId:
        """The job's name. Raises RuntimeError before `start`."""
        return self.order.job.id

    @property
    def node(self) -> Address:
        """The node that answers. Raises RuntimeError before `start`."""
        return self._started().candidate.node

    @property
    def model_name(self) -> str:
        """What that node calls the model. Raises RuntimeError before `start`."""
        return self._started().candidate.offer.name

    @property
    def signed_chunks(self) -> Sequence[SignedChunk]:
        """The same as `chunks` with the node's signatures, each over all that came before it."""
        return tuple(self._dispatch.chunks) if self._dispatch else ()

    @property
    def finished(self) -> bool:
        """Whether there is a receipt, and so an `answer`; also after cancelling, if the node still sent one."""
        return self._dispatch is not None and self._dispatch.receipt is not None

    @property
    def answer(self) -> Answer:
        """The answer, once `finished`. Raises RuntimeError before, and `NodeUnreachable` when none came."""
        dispatch, began = self._dispatch, self._began or 0.0
        if dispatch is None or dispatch.receipt is None or dispatch.signed_receipt is None:
            if self._left:
                raise NodeUnreachable("The stream was left before the node had sent a receipt.")
            raise RuntimeError("the answer is not finished: read the stream to its end first")
        return Answer(
            chunks=tuple(self.chunks),
            prompt=dispatch.prompt,
            receipt=dispatch.receipt,
            signed_receipt=dispatch.signed_receipt,
            order=dispatch.order,
            model_name=dispatch.candidate.offer.name,
            seconds_to_first_token=None if dispatch.first_chunk_at is None else dispatch.first_chunk_at - began,
            seconds=(dispatch.ended_at or began) - began,
            failures=tuple(dispatch.failures),
        )

    async def start(self) -> None:
        """Find a node that begins to answer. Idempotent; done by `async with`. Raises what `AsyncClient.ask` raises."""
        if self._began is not None:
            return
        self._began = trio.current_time()
        with self._deadline() as deadline:
            await self._begin()
        if deadline.cancelled_caught:
            raise await self._give_up()

    async def finish(self) -> Answer:
        """Read to the end."""
        async for _ in self:
            pass
        return self.answer

    async def leave(self) -> None:
        """What leaving the block does; idempotent."""
        if self._dispatch is not None:
            await self._dispatch.close(RECEIPT_SECONDS)
        await self._keep_once()
        self._left = True

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.leave()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.leave()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        """The next piece of text, never empty. After the last one there is an `answer`."""
        piece = await self.next_text()
        if piece is None:
            raise StopAsyncIteration
        return piece

    async def next_text(self) -> str | None:
        """The next piece of text, never empty; None after the last."""
        while (body := await self.next_chunk()) is not None:
            if body.text:
                return body.text
        return None

    async def next_chunk(self) -> ChunkBody | None:
        """The next verified chunk, with its tokens and logprobs; None after the last."""
        await self.start()
        if self._dispatch is None or self._left:
            return None
        with self._deadline() as deadline:
            chunk = await self._dispatch.next()
        if deadline.cancelled_caught:
            raise await self._give_up()
        if chunk is None:
            await self._keep_once()
            return None
        return chunk.body

    async def _begin(self) -> None:
        for number, prepare in enumerate(self._ways, start=1):
            self._dispatch = await prepare()
            try:
                await self._dispatch.begin()
                return
            except JobRefused as error:
                if number == len(self._ways) or not error.reason.startswith(NO_MESSAGES):
                    raise

    async def _keep_once(self) -> None:
        if self.finished and not self._kept:
            self._kept = True
            await self._keep(self.answer.bundle().closed())

    def _started(self) -> Dispatch:
        if self._dispatch is None:
            raise RuntimeError("the stream has not been started")
        return self._dispatch

    def _deadline(self) -> trio.CancelScope:
        return trio.CancelScope(deadline=(self._began or 0.0) + self._seconds)

    async def _give_up(self) -> OutOfTime:
        """The deadline has passed: the node knows it too and needs no word from us."""
        if self._dispatch is not None:
            await self._dispatch.drop()
        self._left = True
        return OutOfTime(
            f"There is no whole answer after {self._seconds:g} s.",
            remedy="Give it longer (--deadline), ask for fewer tokens (--max-tokens), or try again later.",
        )
