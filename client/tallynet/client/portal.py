"""A private trio loop in a thread of its own, into which any other thread can call.

Safe from ordinary threads, notebooks and inside a running asyncio or trio program, which stands still meanwhile. Not
for use after `os.fork`: a child has the portal, but not its thread.
"""

import atexit
import logging
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, suppress
from typing import Generic, TypeVar

import trio

from tallynet.protocol.errors import NodeUnreachable

log = logging.getLogger(__name__)

CLOSE_SECONDS = 10.0
"""How long closing waits for the work that it cancels."""

T = TypeVar("T")
R = TypeVar("R")


class Portal(Generic[T]):
    """Keeps an asynchronous resource open in the loop from the first call to `close`, or to the end of the program."""

    def __init__(self, resource: AbstractAsyncContextManager[T], name: str) -> None:
        self._resource = resource
        self._name = name
        self._lock = threading.Lock()
        self._loop: _Loop[T] | None = None
        self._closed = False

    def call(self, work: Callable[[T], Awaitable[R]]) -> R:
        """Run `work(resource)` in the loop and wait for it. Starts the loop when there is none.

        Raises what `work` raises, or what opening the resource raised. When the waiting thread is interrupted
        (Ctrl-C), the work is cancelled and has ended before the interruption is passed on.
        """
        return self.submit(work).wait()

    def submit(self, work: Callable[[T], Awaitable[R]]) -> "Submitted[R]":
        """Run `work(resource)` in the loop without waiting for it. Raises what opening the resource raised."""
        loop = self._running()
        task = Submitted(lambda: work(loop.resource), loop.soon)
        loop.submit(task)
        return task

    def close(self) -> None:
        """Cancel all work and close the resource. Idempotent; nothing can be called afterwards."""
        with self._lock:
            loop, self._loop, self._closed = self._loop, None, True
        if loop is not None:
            atexit.unregister(self.close)
            loop.stop()

    def _running(self) -> "_Loop[T]":
        with self._lock:
            if self._closed:
                raise RuntimeError(f"the {self._name} is closed")
            if self._loop is None:
                self._loop = _Loop(self._resource, self._name)
                atexit.register(self.close)
            loop = self._loop
        loop.opened.result()
        return loop


class _Loop(Generic[T]):
    """The thread, and the loop in it."""

    resource: T
    _token: trio.lowlevel.TrioToken
    _nursery: trio.Nursery

    def __init__(self, resource: AbstractAsyncContextManager[T], name: str) -> None:
        self.opened: Future[None] = Future()
        """Done once work can be submitted; holds the error when there will be no such time."""
        self._opening = resource
        self._stop = trio.Event()
        self._thread = threading.Thread(target=self._run, name=f"tallynet {name}", daemon=True)
        self._thread.start()

    def submit(self, task: "Submitted[R]") -> None:
        """Called from any thread once the loop is open."""
        try:
            self._token.run_sync_soon(self._start, task)
        except trio.RunFinishedError:
            task.fail()

    def soon(self, work: Callable[[], None]) -> None:
        """Run `work` in the loop, or not at all when the loop has ended, and with it everything in it."""
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(work)

    def stop(self) -> None:
        """Called from any thread but the loop's own."""
        if self.opened.exception() is not None:
            return
        self.soon(self._stop.set)
        self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        try:
            trio.run(self._main)
        except BaseException as error:  # a thread has nobody to raise to but those who wait
            if self.opened.done():
                log.error("the loop has failed", exc_info=error)
            else:
                self.opened.set_exception(error)

    async def _main(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        async with self._opening as self.resource, trio.open_nursery() as self._nursery:
            self.opened.set_result(None)
            await self._stop.wait()
            self._nursery.cancel_scope.cancel()

    def _start(self, task: "Submitted[R]") -> None:
        try:
            self._nursery.start_soon(task.run)
        except RuntimeError:  # the nursery has closed
            task.fail()


class Submitted(Generic[R]):
    """One piece of work, and the thread that waits for it."""

    def __init__(self, work: Callable[[], Awaitable[R]], soon: Callable[[Callable[[], None]], None]) -> None:
        """`soon` runs a function in the loop, at some time, if the loop still runs."""
        self._work = work
        self._soon = soon
        self._scope = trio.CancelScope()
        self._result: Future[R] = Future()

    @property
    def future(self) -> Future[R]:
        """Done when the work is; not to be cancelled, `cancel` is for that."""
        return self._result

    def cancel(self) -> None:
        """Cancel the work; does not wait for its end."""
        self._soon(self._scope.cancel)

    def wait(self) -> R:
        """The result. Interrupted while waiting, it cancels the work and waits for its end before it raises that."""
        try:
            return self._result.result()
        except BaseException:
            if not self._result.done():
                self._soon(self._scope.cancel)
                self._result.exception()
            raise

    def fail(self) -> None:
        self._result.set_exception(NodeUnreachable("The client was closed in the middle of its work."))

    async def run(self) -> None:
        """Raises nothing of the work's own: that goes to the waiting thread."""
        try:
            with self._scope:
                self._result.set_result(await self._work())
        except Exception as error:
            self._result.set_exception(error)
        finally:
            if not self._result.done():
                self.fail()
