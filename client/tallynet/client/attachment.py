"""(3) One order at one node: a run that is taken up again when its stream is lost.

The same job sent again attaches to the same run, whose chunks come again from the first, and every one must be the one
that was seen. No second job is ever signed.
"""

import logging
from collections.abc import Callable

import trio

from tallynet.client.conversation import Conversation
from tallynet.client.directory import Directory
from tallynet.client.lines import Line
from tallynet.client.order import Order
from tallynet.client.ranking import Candidate
from tallynet.protocol.chunk import SignedChunk
from tallynet.protocol.errors import Busy, InvalidChunk, InvalidFrame, InvalidReceipt, NodeUnreachable, Unreachable
from tallynet.protocol.receipt import SignedReceipt, VerifiedReceipt
from tallynet.protocol.units import Milliseconds, TokenIds, short

log = logging.getLogger(__name__)

RESUME_PAUSES_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Waits before each try to get back to a node that was lost after the first words; from the start after new ones."""

Item = SignedChunk | VerifiedReceipt


class Attachment:
    """`begin`, then `next` after `next` until the receipt; then, or at any time, `let_go`."""

    def __init__(
        self, directory: Directory, order: Order, candidate: Candidate, clock: Callable[[], Milliseconds]
    ) -> None:
        self.candidate = candidate
        self.chunks: list[SignedChunk] = []
        """Verified, in order, each once: those that `next` has returned."""
        self.prompt: TokenIds = ()
        self.signed_receipt: SignedReceipt | None = None
        self._directory = directory
        self._order = order
        self._clock = clock
        self._conversation: Conversation | None = None
        self._early: Item | None = None
        self._cancelling = False
        self._lost = 0
        """Tries to get back to the node since it last said anything new."""

    @property
    def begun(self) -> bool:
        """Whether the node may be at work for us."""
        return self._conversation is not None or bool(self.chunks)

    async def begin(self) -> Item:
        """Hand in the job and look at the first item, which `next` will return.

        Raises what the node reports, `Invalid…` for what it must not send, and `NodeUnreachable`.
        """
        conversation = await self._converse()
        self._early = await conversation.next()
        self.prompt = conversation.prompt
        return self._early

    async def next(self) -> Item:
        """The next verified chunk, or the receipt, after which nothing comes.

        Holds on to the node as long as it can be reached. Raises `Invalid…` for what the node must not send,
        `Unreachable` or `Busy` after too many tries without anything new.
        """
        item, self._early = self._early, None
        if item is None:
            item = await self._hear()
        if isinstance(item, SignedChunk):
            self.chunks.append(item)
        else:
            self.signed_receipt = self._conversation.signed_receipt if self._conversation else None
            self._conversation = None
        return item

    async def cancel(self) -> None:
        """Ask the node to stop, over a new stream where the present one was torn: the receipt of the part follows."""
        self._cancelling = True
        if self._conversation is not None and not self._conversation.torn:
            await self._conversation.cancel()

    async def let_go(self) -> None:
        """Drop the stream, if there is one. Idempotent."""
        conversation, self._conversation = self._conversation, None
        if conversation is not None:
            await conversation.abort()

    async def _hear(self) -> Item:
        while True:
            try:
                conversation = self._conversation
                if conversation is None or conversation.torn:
                    conversation = await self._resume()
                item = await conversation.next()
                self._lost = 0
                return item
            except (Unreachable, Busy) as error:
                await self.let_go()
                await self._pause(error)

    async def _pause(self, error: Unreachable | Busy) -> None:
        """Wait before the next try; raises `error` after too many without anything new."""
        log.info("job %s: lost its node: %s", short(self._order.job.id), error)
        if self._lost == len(RESUME_PAUSES_SECONDS):
            raise error
        told = error.retry_after_ms / 1000 if isinstance(error, Busy) else 0.0
        await trio.sleep(max(told, RESUME_PAUSES_SECONDS[self._lost]))
        self._lost += 1

    async def _resume(self) -> Conversation:
        """Attach to the run again and hear what was heard already."""
        await self.let_go()
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
            await self.let_go()
            await line.drop_idle()
            return await self._hand_in(self._directory.lines.line(self.candidate.peer.peer, fresh=True))

    async def _hand_in(self, line: Line) -> Conversation:
        transport = self._directory.transport
        conversation = await Conversation.hand_in(transport, line, self._order, self.candidate, self._clock)
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
