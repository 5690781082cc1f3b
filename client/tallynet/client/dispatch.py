"""(1) to (4) One order, carried to a node and back: fail over before the first words, hold on to the node after them.

Before anything of an answer has been shown, any node will do: the next one gets the same signed job. Afterwards only
the node that began can go on: the same job sent again attaches to the same run, whose chunks come again from the
first, and every one must be the one that was seen. No second job is ever signed.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import trio

from tallynet.client.conversation import Conversation, JobRefused
from tallynet.client.directory import Directory
from tallynet.client.lines import Line
from tallynet.client.order import Order
from tallynet.client.ranking import Candidate
from tallynet.protocol.chunk import SignedChunk
from tallynet.protocol.errors import (
    Busy,
    Invalid,
    InvalidChunk,
    InvalidFrame,
    InvalidReceipt,
    NodeUnreachable,
    Refused,
    TallyError,
    Unreachable,
)
from tallynet.protocol.leaf import Status
from tallynet.protocol.receipt import SignedReceipt, VerifiedReceipt
from tallynet.protocol.units import Address, Milliseconds, TokenIds, prefixed, short

log = logging.getLogger(__name__)

MAX_NODES_TRIED = 8
JOB_REFUSALS = 2
"""So many nodes have to call the job itself wrong: one alone may only say so."""
RESUME_PAUSES_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Waits before each try to get back to a node that was lost after the first words; from the start after new ones."""

Item = SignedChunk | VerifiedReceipt

TellNode = Callable[[Address], Awaitable[None]]
"""Awaited before the job is handed to a node, with its address."""


async def tell_nobody(_node: Address) -> None:
    """The `TellNode` of whoever need not know."""
    await trio.lowlevel.checkpoint()


@dataclass(frozen=True, slots=True)
class Failure:
    """A node that was tried in vain."""

    node: Address
    error: TallyError


class Dispatch:
    """One order on its way. `next` after `next` until the receipt; then, or at any time, `close`."""

    def __init__(
        self,
        directory: Directory,
        order: Order,
        ranked: Sequence[Candidate],
        clock: Callable[[], Milliseconds],
        tell: TellNode = tell_nobody,
    ) -> None:
        """`ranked` holds at least one candidate, best first; `directory` is told how each of them did."""
        self._directory = directory
        self.order = order
        self.failures: list[Failure] = []
        self.chunks: list[SignedChunk] = []
        """Verified, in order, each once."""
        self.prompt: TokenIds = ()
        self.receipt: VerifiedReceipt | None = None
        self.signed_receipt: SignedReceipt | None = None
        self.candidate = ranked[0]
        """The node that is being asked, or that answers."""
        self.first_chunk_at: float | None = None
        self.ended_at: float | None = None
        """By trio's clock: when the first chunk, and when the receipt had been verified."""
        self._ranked = list(ranked[:MAX_NODES_TRIED])
        self._clock = clock
        self._tell = tell
        self._conversation: Conversation | None = None
        self._early: Item | None = None
        self._cancelling = False
        self._lost = 0
        """Tries to get back to the node since it last said anything new."""
        self._over = False
        """Nothing more will come: there is a receipt, an error, or we left."""

    async def begin(self) -> None:
        """Find a node that gives the first verified chunk, or at once a receipt. Try the busy ones again when due.

        Raises the most telling error when nobody does: a proven fault before a refusal before a lost connection.
        Waits as long as the nodes say: callers set the deadline.
        """
        waiting = self._ranked
        while True:
            failures = await self._try_each(waiting)
            if not failures:
                return
            busy = {failure.node: failure.error for failure in failures if isinstance(failure.error, Busy)}
            if not busy:
                raise self._most_telling()
            waiting = [candidate for candidate in waiting if candidate.node in busy]
            await self._wait(list(busy.values()))

    async def next(self) -> SignedChunk | None:
        """The next verified chunk; None once nothing more comes. A lost connection is taken up again.

        Raises `Invalid…` for what the node must not send, `NodeUnreachable` when it is gone for good.
        """
        if self._over:
            return None
        try:
            item = await self._next()
        except TallyError as error:
            self._over = True
            await self._fail(error)
            raise
        return self._take(item)

    async def close(self, seconds: float) -> None:
        """Leave in peace: when the answer is not finished, cancel it and wait `seconds` for the receipt of its part.

        Shielded from cancellation; raises nothing. What the node fails to send is logged.
        """
        begun = self._conversation is not None or bool(self.chunks)
        if not begun or self._over:
            return
        with trio.move_on_after(seconds, shield=True):
            try:
                await self._cancel()
            except TallyError as error:
                log.info("job %s: no receipt after cancelling: %s", short(self.order.job.id), error)
        await self.drop()

    async def drop(self) -> None:
        """Leave at once."""
        self._over = True
        await self._hang_up()

    async def _try_each(self, candidates: Sequence[Candidate]) -> list[Failure]:
        """Ask one after another, those first to whom a line is free; empty once one has answered.

        Raises `JobRefused` when JOB_REFUSALS agree on it.
        """
        failures: list[Failure] = []
        lines = self._directory.lines
        for candidate in sorted(candidates, key=lambda known: not lines.free(known.peer.peer)):
            failure = await self._try(candidate)
            if failure is None:
                return []
            failures.append(failure)
            if sum(isinstance(failure.error, JobRefused) for failure in failures) == JOB_REFUSALS:
                raise failure.error
        return failures

    async def _try(self, candidate: Candidate) -> Failure | None:
        """Get the first item from one node; its error is not raised but returned."""
        self.candidate = candidate
        await self._tell(candidate.node)
        try:
            conversation = await self._converse()
            self._early = await conversation.next()
            _check_begun(self._early)
        except TallyError as error:
            await self._fail(error)
            return self.failures[-1]
        self.prompt = conversation.prompt
        if isinstance(self._early, SignedChunk):
            self.first_chunk_at = trio.current_time()
        return None

    async def _fail(self, error: TallyError) -> None:
        await self._hang_up()
        self.failures.append(Failure(self.candidate.node, error))
        self._directory.note_failure(self.candidate, error)
        level = logging.WARNING if isinstance(error, Invalid) else logging.INFO
        log.log(level, "job %s: node %s: %s", short(self.order.job.id), prefixed(self.candidate.node), error)

    async def _wait(self, busy: list[TallyError]) -> None:
        """Wait until the first of the busy nodes is due; give up at once when that is later than anybody waits."""
        first = min((error for error in busy if isinstance(error, Busy)), key=lambda error: error.retry_after_ms)
        if trio.current_time() + first.retry_after_ms / 1000 >= trio.current_effective_deadline():
            raise first
        await trio.sleep(first.retry_after_ms / 1000)

    async def _next(self) -> Item:
        """The next item from wherever it comes; holds on to the node as long as it can be reached."""
        if self._early is not None:
            item, self._early = self._early, None
            return item
        while True:
            try:
                conversation = self._conversation
                if conversation is None or conversation.torn:
                    conversation = await self._resume()
                item = await conversation.next()
                self._lost = 0
                return item
            except (Unreachable, Busy) as error:
                await self._hang_up()
                await self._pause(error)

    async def _pause(self, error: Unreachable | Busy) -> None:
        """Wait before the next try; raises `error` after too many without anything new."""
        log.info("job %s: lost its node: %s", short(self.order.job.id), error)
        if self._lost == len(RESUME_PAUSES_SECONDS):
            raise error
        told = error.retry_after_ms / 1000 if isinstance(error, Busy) else 0.0
        await trio.sleep(max(told, RESUME_PAUSES_SECONDS[self._lost]))
        self._lost += 1

    async def _resume(self) -> Conversation:
        """Attach to the run again and hear what was heard already."""
        await self._hang_up()
        conversation = await self._converse()
        await self._catch_up(conversation)
        return conversation

    async def _converse(self) -> Conversation:
        """Hand in the job; from then on there is a conversation to be cancelled. A stream that the node has closed
        since its last job says nothing about the node: then a new one is opened."""
        line = self._directory.lines.line(self.candidate.peer.peer)
        try:
            return await self._hand_in(line)
        except NodeUnreachable:
            if not line.reused:
                raise
            await self._hang_up()
            await line.drop_idle()
            return await self._hand_in(self._directory.lines.line(self.candidate.peer.peer, fresh=True))

    async def _hand_in(self, line: Line) -> Conversation:
        transport = self._directory.transport
        conversation = await Conversation.hand_in(transport, line, self.order, self.candidate, self._clock)
        self._conversation = conversation
        await conversation.hear_acceptance()
        if self._cancelling:
            await conversation.cancel()
        return conversation

    async def _catch_up(self, conversation: Conversation) -> None:
        """Hear the chunks again that were heard before. Raises `InvalidFrame`, `InvalidChunk`, `InvalidReceipt`."""
        # (5) the prompt is the one that was told before
        if self.prompt and conversation.prompt != self.prompt:
            raise InvalidFrame("the node tells of another prompt than before", check=5)
        self.prompt = conversation.prompt
        for index, seen in enumerate(self.chunks):
            again = await conversation.next()
            # (6) nothing that was streamed is taken back
            if isinstance(again, VerifiedReceipt):
                raise InvalidReceipt(
                    f"the leaf commits to {index} chunks, {len(self.chunks)} were streamed",
                    check=13,
                    evidence={"chunk": seen, "receipt": conversation.signed_receipt},
                )
            # (7) nothing that was streamed is changed
            if again != seen:
                raise InvalidChunk(
                    f"the node signed two different chunks {index} of one answer: {seen.body.text!r} and "
                    f"{again.body.text!r}",
                    check=7,
                    evidence={"one": seen, "other": again},
                )

    async def _cancel(self) -> None:
        """Send `Cancel` and read on to the receipt, over a new stream where the present one was torn."""
        self._cancelling = True
        if self._conversation is not None and not self._conversation.torn:
            await self._conversation.cancel()
        while await self.next() is not None:
            pass

    def _take(self, item: Item) -> SignedChunk | None:
        if isinstance(item, SignedChunk):
            self.chunks.append(item)
            return item
        self.receipt = item
        self.signed_receipt = self._conversation.signed_receipt if self._conversation else None
        self._conversation = None
        self._over = True
        self.ended_at = trio.current_time()
        self._directory.note_answer(self.candidate, item.leaf, self.order.job.job.task)
        return None

    async def _hang_up(self) -> None:
        conversation, self._conversation = self._conversation, None
        if conversation is not None:
            await conversation.abort()

    def _most_telling(self) -> TallyError:
        """The error to raise when all have failed; the others stand in its notes."""
        order = (Invalid, Refused, Busy, TallyError)
        worst = min(self.failures, key=lambda failure: [isinstance(failure.error, kind) for kind in order].index(True))
        for failure in self.failures:
            if failure is not worst:
                worst.error.add_note(f"node {prefixed(failure.node)}: {failure.error}")
        return worst.error


def _check_begun(first: Item) -> None:
    """A node that could not even begin, and signs that it could not: another may. Raises `Refused`."""
    if isinstance(first, VerifiedReceipt) and first.leaf.status in (Status.SHUTDOWN, Status.FAILED):
        raise Refused(f"The node ended the job before its first word: {first.leaf.status.name.lower()}.")
