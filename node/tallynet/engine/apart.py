"""An engine in a process of its own, behind the same few methods.

A node's network code and the decoding thread would otherwise share one interpreter lock, and each would wait for the
other many times a token (decision 0008). And whatever a model runtime does to its process, the node lives on: jobs
that ran end with a signed reason, and a new process is started.
"""

import json
import logging
import math
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field

import trio

from tallynet.engine.engine import EngineInfo, EngineLoad, Generation, Piece, check_generation
from tallynet.engine.line import (
    READ_BYTES,
    Admitted,
    Begin,
    Decoder,
    Failed,
    FromEngine,
    Leave,
    Loaded,
    Message,
    Mouth,
    Said,
    Tokenize,
    Tokens,
    error_of,
)
from tallynet.engine.process import start, start_patiently
from tallynet.protocol.errors import Busy, Misconfigured, TallyError, Unreachable
from tallynet.protocol.request import Request
from tallynet.protocol.units import TokenIds

log = logging.getLogger(__name__)

RETRY_MS = 10_000
"""When to try again while a process is being started."""

AGAIN = "Send the job again later, or to another node."

Item = Piece | TokenIds | TallyError | None


@dataclass(eq=False)
class _Asked:
    """One generation or question, and what came back. The channel holds a whole answer: nobody waits for a reader."""

    admitted: bool = False
    complete: bool = False
    sender: trio.MemorySendChannel[Item] = field(init=False)
    receiver: trio.MemoryReceiveChannel[Item] = field(init=False)

    def __post_init__(self) -> None:
        self.sender, self.receiver = trio.open_memory_channel[Item](math.inf)

    def put(self, item: Item) -> None:
        """Nothing follows the last piece, or an error."""
        if self.complete:
            return
        self.sender.send_nowait(item)
        self.complete = isinstance(item, TallyError) or (isinstance(item, Piece) and item.finish is not None)

    async def next(self) -> Piece | TokenIds | None:
        """None tells that a slot is held."""
        item = await self.receiver.receive()
        if isinstance(item, TallyError):
            raise item
        return item

    async def pieces(self) -> AsyncGenerator[Piece, None]:
        """The answer, to its last piece."""
        finish = None
        while finish is None:
            piece = await self.next()
            if not isinstance(piece, Piece):
                raise TypeError(f"a piece was expected, not {type(piece).__name__}")
            finish = piece.finish
            yield piece


class ApartEngine:
    """Starts its process in the constructor, which blocks until the model is loaded; serves while `run` runs."""

    def __init__(self, spec: str, *, device: str, dtype: str, slots: int, context_length: int | None = None) -> None:
        """Raises what `opening.open_engine` raises, for the same arguments."""
        settings = {"spec": spec, "device": device, "dtype": dtype, "slots": slots, "context_length": context_length}
        self._child = start(json.dumps(settings))
        self._info = self._child.info
        self._settings = json.dumps({**settings, "context_length": self._info.context_length})
        """Of later processes: they hold as much as the first, whatever the memory says then."""
        self._tokens_per_second = self._child.tokens_per_second
        self._mouth: Mouth | None = None
        self._asked: dict[int, _Asked] = {}
        self._generations: set[_Asked] = set()
        self._numbers = 0

    @property
    def info(self) -> EngineInfo:
        return self._info

    @property
    def pid(self) -> int:
        """Of the present process."""
        return self._child.process.pid

    def close(self) -> None:
        """End the process of an engine that will not run. Blocks until it has ended; `run` does the same at its end."""
        self._child.end()

    def load(self) -> EngineLoad:
        running = sum(asked.admitted for asked in self._generations)
        return EngineLoad(running, len(self._generations) - running, self._tokens_per_second)

    async def tokenize(self, request: Request) -> TokenIds:
        """Raises `Busy` while a process is being started, besides what every engine raises."""
        async with self._asking(lambda number: Tokenize(number, request)) as asked:
            tokens = await asked.next()
            if not isinstance(tokens, tuple):
                raise TypeError(f"tokens were expected, not {type(tokens).__name__}")
            return tokens

    @asynccontextmanager
    async def stream(self, generation: Generation) -> AsyncIterator[AsyncIterator[Piece]]:
        check_generation(generation, self._info)
        async with self._asking(lambda number: Begin(number, generation)) as asked:
            self._generations.add(asked)
            try:
                await asked.next()  # the slot
                asked.admitted = True
                async with aclosing(asked.pieces()) as pieces:
                    yield pieces
            finally:
                self._generations.remove(asked)

    @asynccontextmanager
    async def _asking(self, message: Callable[[int], Message]) -> AsyncIterator[_Asked]:
        """`message` makes the question, given its number."""
        mouth = self._mouth
        if mouth is None:
            raise Busy("the model is being started", retry_after_ms=RETRY_MS)
        self._numbers += 1
        number, asked = self._numbers, _Asked()
        self._asked[number] = asked
        try:
            mouth.say(message(number))
            yield asked
        finally:
            del self._asked[number]
            if not asked.complete:
                mouth.say(Leave(number))

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled. Raises `Misconfigured` when a later process finds other model files than the first."""
        try:
            while True:
                await self._converse(task_status)
                task_status = trio.TASK_STATUS_IGNORED
                log.error("the engine's process %s; another is started", await trio.to_thread.run_sync(self._child.end))
                self._child = await start_patiently(self._settings)
                if self._child.info.model != self._info.model:
                    raise Misconfigured("The model's files were changed while the node ran.", remedy="Start it again.")
        finally:
            self._child.end()

    async def _converse(self, task_status: trio.TaskStatus[None]) -> None:
        """Speak with the present process until it ends."""
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(self._child.line))
        try:
            async with trio.open_nursery() as nursery:
                self._mouth = Mouth(self._child.line)
                nursery.start_soon(self._mouth.run)
                task_status.started()
                await self._listen(stream)
                nursery.cancel_scope.cancel()
        finally:
            self._mouth = None
            for asked in self._asked.values():
                asked.put(Unreachable("the engine was stopped", remedy=AGAIN))

    async def _listen(self, stream: trio.SocketStream) -> None:
        decoder = Decoder[FromEngine](FromEngine)
        try:
            while data := await stream.receive_some(READ_BYTES):
                for message in decoder.feed(data):
                    self._take(message)
        except trio.BrokenResourceError:
            log.debug("the line to the engine's process broke")

    def _take(self, message: FromEngine) -> None:
        if isinstance(message, Loaded):
            raise TypeError("an engine is loaded once")
        if isinstance(message, Said):
            self._tokens_per_second = message.tokens_per_second
        asked = self._asked.get(message.number)
        if asked is not None:  # otherwise nobody waits for it any more
            asked.put(_item(message))


def _item(message: Admitted | Said | Tokens | Failed) -> Item:
    if isinstance(message, Admitted):
        return None
    if isinstance(message, Said):
        return message.piece
    return message.tokens if isinstance(message, Tokens) else error_of(message)
