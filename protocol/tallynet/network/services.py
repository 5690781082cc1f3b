"""Running py-libp2p's services (the swarm, the DHT, gossip) so that a failing task costs itself alone.

Their own manager takes the whole service down with any task, and the host with the service. One gossip message with
a broken public key was enough: its signature check raises in a task of its own. So did an exception in a stream
handler, and a message that is no protobuf.
"""

import functools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio
from libp2p.tools.anyio_service import Service
from libp2p.tools.anyio_service.trio_manager import TrioManager

log = logging.getLogger(__name__)

STOP_SECONDS = 1.0
"""A service that has not stopped by then is cancelled."""


@asynccontextmanager
async def background(service: Service) -> AsyncIterator[None]:
    """Run `service` while the block runs; stopping takes STOP_SECONDS at most, also under cancellation."""
    async with trio.open_nursery() as nursery:
        manager = _Manager(service)
        nursery.start_soon(manager.run)
        await manager.wait_started()
        try:
            yield
        finally:
            with trio.move_on_after(STOP_SECONDS, shield=True):
                await manager.stop()
            nursery.cancel_scope.cancel()


def contained(task: Callable[..., Awaitable[object]]) -> Callable[..., Awaitable[None]]:
    """The same task, with its errors logged instead of raised; cancellation passes."""

    @functools.wraps(task)
    async def run(*args: object) -> None:
        try:
            await task(*args)
        except* Exception as faults:
            log.debug("a background task failed: %s", getattr(task, "__qualname__", task), exc_info=faults)

    return run


class _Manager(TrioManager):
    def run_task(
        self,
        async_fn: Callable[..., Awaitable[object]],
        *args: object,
        daemon: bool = False,
        name: str | None = None,
        _internal: bool = False,
    ) -> None:
        # Daemons and the service's own run() keep their errors: without them the service is no service.
        task = async_fn if daemon or _internal else contained(async_fn)
        super().run_task(task, *args, daemon=daemon, name=name, _internal=_internal)
