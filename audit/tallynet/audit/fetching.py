"""Asking ahead: many small questions under way at once, answers in the order of the questions.

At most `AHEAD` answers are awaited or lie unread, so that a slow reader costs no memory and a node no more than
a few streams.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

import trio

from tallynet.protocol.errors import TallyError

AHEAD = 16
"""Questions under way; a node serves one peer 64 streams."""

Q = TypeVar("Q")
A = TypeVar("A")


class _Slot(Generic[A]):
    """The place of one answer."""

    def __init__(self) -> None:
        self._arrived = trio.Event()
        self._answers: list[A] = []
        self._failure: TallyError | None = None

    async def fill(self, ask: Callable[[Q], Awaitable[A]], question: Q) -> None:
        try:
            self._answers.append(await ask(question))
        except TallyError as error:
            self._failure = error
        self._arrived.set()

    async def take(self) -> A:
        await self._arrived.wait()
        if self._failure is not None:
            raise self._failure
        return self._answers.pop()


class Answers(Generic[A]):
    """The answers, one by one; taking one raises what asking for it raised."""

    def __init__(self, slots: trio.MemoryReceiveChannel[_Slot[A]]) -> None:
        self._slots = slots

    def __aiter__(self) -> AsyncIterator[A]:
        return self

    async def __anext__(self) -> A:
        slot = await self._slots.__anext__()
        return await slot.take()


@asynccontextmanager
async def ask_ahead(
    ask: Callable[[Q], Awaitable[A]], questions: Iterable[Q], ahead: int = AHEAD
) -> AsyncIterator[Answers[A]]:
    """Ask all questions, `ahead` of them at a time, until the block is left."""
    send, receive = trio.open_memory_channel[_Slot[A]](ahead - 1)

    async def ask_all(nursery: trio.Nursery) -> None:
        async with send:
            for question in questions:
                slot = _Slot[A]()
                await send.send(slot)
                nursery.start_soon(slot.fill, ask, question)

    failure: BaseException | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask_all, nursery)
        try:
            yield Answers(receive)
        except Exception as error:  # comes out as it is, not wrapped in a group
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
