"""The counter, where one peer hands in its jobs over one stream, one after another (spec chapter 2, "Frames").

Opening a stream costs both sides more than all the messages of a short job, so a client with many jobs keeps its
streams. What one job does wrong costs its stream, never another one's run.
"""

import logging
from contextlib import aclosing
from dataclasses import dataclass

import trio

from tallynet.network.frames import FROM_CLIENT, EndOfStream, receive_frame, send_frame
from tallynet.network.transport import Stream
from tallynet.node.desk import Desk
from tallynet.node.generation import log_unusable
from tallynet.node.metrics import Metrics
from tallynet.node.run import Run
from tallynet.protocol.errors import Deferred, Invalid, InvalidFrame, Misconfigured, NodeUnreachable, Refused
from tallynet.protocol.leaf import Status as Ending
from tallynet.protocol.wire import Cancel, Submit, rejection

log = logging.getLogger(__name__)

SUBMIT_SECONDS = 20.0
"""A new stream has brought its first job by then."""
NEXT_SECONDS = 60.0
"""A stream waits so long for another job after a receipt."""
LONGEST_RUN_SECONDS = 24 * 3600.0


@dataclass(frozen=True)
class Counter:
    """Serves the job protocol of one node."""

    desk: Desk
    metrics: Metrics
    abandon_seconds: float

    async def serve(self, stream: Stream) -> None:
        """(1) to (4) for one stream: read a job, take it, pass on everything that is said about it, and read on."""
        try:
            submit: Submit | None = await _read_first(stream)
            while submit is not None:
                submit = await self._follow(stream, await self.desk.take(submit))
        except (Invalid, Deferred, Refused) as error:
            self.metrics.refuse(error)
            log.info("refused %s: %s", stream.remote, error)
            await send_frame(stream, rejection(error))
        except Misconfigured as error:
            log.error("refused %s: %s", stream.remote, error)
            await send_frame(stream, rejection(log_unusable()))

    async def _follow(self, stream: Stream, run: Run) -> Submit | None:
        """Say all that there is to say of a run; the job that comes next, None when the peer has no other."""
        reading = _Reading(stream, run)
        try:
            async with trio.open_nursery() as both:
                both.start_soon(reading.heed, both.cancel_scope)
                async with aclosing(run.follow()) as frames:
                    async for frame in frames:
                        await send_frame(stream, frame)
                both.cancel_scope.deadline = trio.current_time() + NEXT_SECONDS
        finally:
            if not run.done:
                self.desk.watch_abandoned(run, self.abandon_seconds)
        return reading.next


class _Reading:
    """What the peer says while it follows a run. One reader for all of it: a message cut in two would be lost."""

    def __init__(self, stream: Stream, run: Run) -> None:
        self.next: Submit | None = None
        self._stream = stream
        self._run = run

    async def heed(self, following: trio.CancelScope) -> None:
        """Stop the run when its client says so, and take the next job once it has ended. A lost line is not a cancel,
        it only ends the following: the client may come back."""
        try:
            while self.next is None:
                self._heed(await receive_frame(self._stream, FROM_CLIENT, seconds=LONGEST_RUN_SECONDS))
        except EndOfStream:
            return  # it has nothing more to say and still listens
        except NodeUnreachable:
            following.cancel()

    def _heed(self, frame: Submit | Cancel) -> None:
        if isinstance(frame, Cancel):
            self._run.stop(Ending.CANCELLED)
        elif self._run.done:
            self.next = frame
        else:
            raise InvalidFrame("a job comes before the receipt of the one before it: open another stream for it")


async def _read_first(stream: Stream) -> Submit:
    submit = await receive_frame(stream, FROM_CLIENT, seconds=SUBMIT_SECONDS)
    if not isinstance(submit, Submit):
        raise InvalidFrame(f"a job begins with submit, not with {type(submit).__name__}")
    return submit
