"""The one place that knows asyncio: work in the client's own loop, awaited from LangChain's.

Cancelled there, it is cancelled here: the job ends, and its node is told.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TypeVar

from tallynet.client.answer_stream import AnswerStream
from tallynet.client.blocking import Client
from tallynet.client.client import AsyncClient

R = TypeVar("R")


async def run(client: Client, work: Callable[[AsyncClient], Awaitable[R]]) -> R:
    """Await `work` from asyncio. Raises what it raises."""
    running = client.submit(work)
    result = asyncio.wrap_future(running.future)
    try:
        return await asyncio.shield(result)
    except asyncio.CancelledError:
        result.add_done_callback(_look)
        running.cancel()
        raise


async def stream_pieces(client: Client, stream: AnswerStream) -> AsyncGenerator[str, None]:
    """The pieces of an answer. Left early, the job is cancelled."""
    try:
        while (piece := await run(client, lambda _: stream.next_text())) is not None:
            yield piece
    finally:
        await run(client, lambda _: stream.leave())


def _look(future: asyncio.Future[R]) -> None:
    """Nobody waits for it any more: what it raises is not worth a word."""
    if not future.cancelled():
        future.exception()
