"""Gossip that has arrived and is not yet read."""

from collections import deque
from typing import Self

import trio

from tallynet.protocol.units import PeerId

INBOX_MESSAGES = 1024
"""Most unread messages of one subscriber; news is worth more than history, so the oldest go first."""


class Inbox:
    """One subscriber's queue, an asynchronous iterator of (author, data). Ends when closed and read to the end."""

    def __init__(self, capacity: int = INBOX_MESSAGES) -> None:
        self._unread: deque[tuple[PeerId, bytes]] = deque(maxlen=capacity)
        self._closed = False
        self._changed = trio.Event()

    def put(self, author: PeerId, data: bytes) -> None:
        """Never waits: a slow subscriber loses its oldest messages and holds up nobody."""
        self._unread.append((author, data))
        self._announce()

    def close(self) -> None:
        self._closed = True
        self._announce()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> tuple[PeerId, bytes]:
        """The oldest message still here. Cancelled while waiting, it leaves the queue unchanged."""
        await trio.lowlevel.checkpoint()
        while not self._unread:
            if self._closed:
                raise StopAsyncIteration
            await self._changed.wait()
        return self._unread.popleft()

    def _announce(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
