"""(1) to (4) One order, carried to a node and back: fail over before the first words, hold on to the node after them.

Before anything of an answer has been shown, any node will do: the next one gets the same signed job. Afterwards only
the node that began can go on (`attachment`). No second job is ever signed.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import trio

from tallynet.client.attachment import Attachment, Item
from tallynet.client.conversation import JobRefused
from tallynet.client.directory import Directory
from tallynet.client.order import Order
from tallynet.client.ranking import Candidate
from tallynet.protocol.chunk import SignedChunk
from tallynet.protocol.errors import Busy, Invalid, Refused, TallyError
from tallynet.protocol.leaf import Status
from tallynet.protocol.receipt import SignedReceipt, VerifiedReceipt
from tallynet.protocol.units import Address, Milliseconds, TokenIds, prefixed, short

log = logging.getLogger(__name__)

MAX_NODES_TRIED = 8
JOB_REFUSALS = 2
"""So many nodes have to call the job itself wrong: one alone may only say so."""

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
        self.receipt: VerifiedReceipt | None = None
        self.first_chunk_at: float | None = None
        self.ended_at: float | None = None
        """By trio's clock: when the first chunk, and when the receipt had been verified."""
        self._ranked = list(ranked[:MAX_NODES_TRIED])
        self._clock = clock
        self._tell = tell
        self._attached = self._attach(ranked[0])
        self._over = False
        """Nothing more will come: there is a receipt, an error, or we left."""

    @property
    def candidate(self) -> Candidate:
        """The node that is being asked, or that answers."""
        return self._attached.candidate

    @property
    def chunks(self) -> Sequence[SignedChunk]:
        """Verified, in order, each once."""
        return self._attached.chunks

    @property
    def prompt(self) -> TokenIds:
        """As the node says that the model saw it; empty before the first item."""
        return self._attached.prompt

    @property
    def signed_receipt(self) -> SignedReceipt | None:
        return self._attached.signed_receipt

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
            item = await self._attached.next()
        except TallyError as error:
            self._over = True
            await self._fail(error)
            raise
        return self._take(item)

    async def close(self, seconds: float) -> None:
        """Leave in peace: when the answer is not finished, cancel it and wait `seconds` for the receipt of its part.

        Shielded from cancellation; raises nothing. What the node fails to send is logged.
        """
        if not self._attached.begun or self._over:
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
        await self._attached.let_go()

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
        self._attached = self._attach(candidate)
        await self._tell(candidate.node)
        try:
            first = await self._attached.begin()
            _check_begun(first)
        except TallyError as error:
            await self._fail(error)
            return self.failures[-1]
        if isinstance(first, SignedChunk):
            self.first_chunk_at = trio.current_time()
        return None

    def _attach(self, candidate: Candidate) -> Attachment:
        return Attachment(self._directory, self.order, candidate, self._clock)

    async def _fail(self, error: TallyError) -> None:
        await self._attached.let_go()
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

    async def _cancel(self) -> None:
        """Send `Cancel` and read on to the receipt."""
        await self._attached.cancel()
        while await self.next() is not None:
            pass

    def _take(self, item: Item) -> SignedChunk | None:
        if isinstance(item, SignedChunk):
            return item
        self.receipt = item
        self._over = True
        self.ended_at = trio.current_time()
        self._directory.note_answer(self.candidate, item.leaf, self.order.job.job.task)
        return None

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
