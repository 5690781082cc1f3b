"""A response that is made while it is sent, and given up when the caller hangs up."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import msgspec
import trio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tallynet.console.terminal import first_error
from tallynet.protocol.errors import TallyError

Payload = Mapping[str, object]


class Line:
    """The way back to the caller."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._turn = trio.Lock()

    async def answer(self, payload: Payload, headers: Mapping[str, str]) -> None:
        """The whole answer, as JSON."""
        data = msgspec.json.encode(payload)
        await self.open("application/json", {**headers, "content-length": str(len(data))})
        await self._send({"type": "http.response.body", "body": data})

    async def open(self, media_type: str, headers: Mapping[str, str]) -> None:
        """Status 200 and the headers; from here on nothing else can be answered."""
        raw = [(name.encode(), value.encode()) for name, value in {"content-type": media_type, **headers}.items()]
        await self._send({"type": "http.response.start", "status": 200, "headers": raw})

    async def event(self, payload: Payload | str) -> None:
        """One server-sent event, whole; several tasks may tell theirs."""
        data = payload.encode() if isinstance(payload, str) else msgspec.json.encode(payload)
        async with self._turn:
            await self._send({"type": "http.response.body", "body": b"data: " + data + b"\n\n", "more_body": True})

    async def close(self) -> None:
        await self._send({"type": "http.response.body", "body": b""})


class Answering(Response):
    """Does `work` with the line to the caller. Errors before `Line.open` are answered as errors of the route."""

    def __init__(self, work: Callable[[Line], Awaitable[None]]) -> None:
        super().__init__()
        self._work = work

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with _while_connected(receive):
            await self._work(Line(send))


@asynccontextmanager
async def ungrouped() -> AsyncIterator[None]:
    """A nursery's group of expected errors as the first of them."""
    try:
        yield
    except* TallyError as group:
        error = first_error(group)
    else:
        return
    raise error


@asynccontextmanager
async def _while_connected(receive: Receive) -> AsyncIterator[None]:
    """Cancels its block once the caller has hung up."""
    async with ungrouped(), trio.open_nursery() as nursery:
        nursery.start_soon(_hear_hanging_up, receive, nursery.cancel_scope)
        yield
        nursery.cancel_scope.cancel()


async def _hear_hanging_up(receive: Receive, scope: trio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
