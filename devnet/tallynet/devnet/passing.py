"""Wrappers that pass everything on: what cheats, eavesdrops or stands still overrides the one thing that it does."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Self

import trio

from tallynet.engine import Engine, EngineInfo, EngineLoad, Generation, Piece
from tallynet.network.transport import Handler, PeerAddress, Stream, Transport
from tallynet.protocol.request import Request
from tallynet.protocol.units import ModelId, PeerId, TokenIds


class PassingTransport:
    """Is the transport `inner`."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner

    @property
    def peer(self) -> PeerId:
        return self._inner.peer

    @property
    def addresses(self) -> tuple[str, ...]:
        return self._inner.addresses

    def run(self) -> AbstractAsyncContextManager[None]:
        return self._inner.run()

    def serve(self, protocol: str, handler: Handler) -> None:
        self._inner.serve(protocol, handler)

    async def open(self, to: PeerAddress, protocol: str) -> Stream:
        return await self._inner.open(to, protocol)

    async def provide(self, model: ModelId) -> None:
        await self._inner.provide(model)

    async def providers(self, model: ModelId) -> Sequence[PeerAddress]:
        return await self._inner.providers(model)

    async def publish(self, topic: str, data: bytes) -> None:
        await self._inner.publish(topic, data)

    def subscribe(self, topic: str) -> AbstractAsyncContextManager[AsyncIterator[tuple[PeerId, bytes]]]:
        return self._inner.subscribe(topic)


class PassingStream:
    """Is the stream `inner`."""

    def __init__(self, inner: Stream) -> None:
        self._inner = inner

    @property
    def remote(self) -> PeerId:
        return self._inner.remote

    async def send(self, data: bytes) -> None:
        await self._inner.send(data)

    async def receive(self, count: int) -> bytes:
        return await self._inner.receive(count)

    async def finish(self) -> None:
        await self._inner.finish()

    async def abort(self) -> None:
        await self._inner.abort()

    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._inner.__aexit__(kind, error, trace)


class PassingEngine:
    """Is the engine `inner`."""

    def __init__(self, inner: Engine) -> None:
        self._inner = inner

    @property
    def info(self) -> EngineInfo:
        return self._inner.info

    def load(self) -> EngineLoad:
        return self._inner.load()

    async def tokenize(self, request: Request) -> TokenIds:
        return await self._inner.tokenize(request)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        await self._inner.run(task_status=task_status)

    def stream(self, generation: Generation) -> AbstractAsyncContextManager[AsyncIterator[Piece]]:
        return self._inner.stream(generation)
