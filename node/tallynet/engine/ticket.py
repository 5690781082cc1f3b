"""One generation between the reader's task and the worker's thread."""

from collections.abc import AsyncIterator

import trio

from tallynet.engine.answer import Answer
from tallynet.engine.engine import Generation, Piece
from tallynet.engine.philox import noise_key
from tallynet.engine.recital import Recital
from tallynet.engine.rules import Rules
from tallynet.engine.sketch import Recorder
from tallynet.protocol.errors import TallyError

Item = Piece | TallyError


class Ticket(AsyncIterator[Piece]):
    """The reader iterates over it; the worker's items reach it through `put`, on the trio side.

    The channel holds a whole answer (at most `limit` pieces and an error), so a slow reader never holds up the
    worker; memory is bounded because `limit` is.
    """

    def __init__(
        self,
        generation: Generation,
        answer: Answer,
        limit: int,
        recital: Recital | None = None,
        rules: Rules | None = None,
        number: int | None = None,
    ) -> None:
        self.generation = generation
        self.number = number
        """Where its pieces are told and not read (`delivery.py`)."""
        self.answer = answer
        """Owned by the worker's thread."""
        self.recital = recital
        """In place of the answer where a given text is scored; owned by the worker's thread."""
        self.recorder = Recorder(generation)
        """Owned by the worker's thread."""
        self.rules = rules
        """Owned by the worker's thread; None where the request adds nothing to the choice of tokens."""
        self.key = noise_key(generation.seed)
        self.admitted = trio.Event()
        """A slot is held, or there will never be one."""
        self.left = False
        """The reader is gone: nothing more will be read. Written on the trio side, read by the worker."""
        self.running = False
        """A slot is held. Written by the worker, read by anybody."""
        self._complete = False
        self._sender, self._receiver = trio.open_memory_channel[Item](limit + 1)

    def put(self, item: Item) -> None:
        """Hand the reader a piece or the error that ended the generation."""
        if self.left or self._complete:
            return
        self._sender.send_nowait(item)
        if isinstance(item, TallyError) or item.finish is not None:
            self._complete = True
            self._sender.close()

    def leave(self) -> None:
        """The reader goes away; the worker drops the generation before its next token."""
        self.left = True
        self._sender.close()
        self._receiver.close()

    async def __anext__(self) -> Piece:
        try:
            item = await self._receiver.receive()
        except trio.EndOfChannel:
            raise StopAsyncIteration from None
        if isinstance(item, TallyError):
            raise item
        return item
