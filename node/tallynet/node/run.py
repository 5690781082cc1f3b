"""One job's run: what was said about it so far, for any number of followers.

The run does not belong to a connection. A client that loses its line and sends the same job again follows the
same run from its first word.
"""

from collections.abc import AsyncGenerator

import trio

from tallynet.protocol.errors import TallyError
from tallynet.protocol.job import VerifiedJob
from tallynet.protocol.leaf import Status
from tallynet.protocol.wire import Finished, Frame, Rejected, rejection


class Run:
    """A job being worked on, or just ended."""

    def __init__(self, job: VerifiedJob) -> None:
        self.job = job
        self.frames: list[Frame] = []
        self.followers = 0
        self.cut_short: Status | None = None
        """Why the run was stopped from outside, once it was."""
        self.scope = trio.CancelScope()
        """Cancelling it stops the generation; the receipt is still written."""
        self._news = trio.lowlevel.ParkingLot()

    @property
    def done(self) -> bool:
        return bool(self.frames) and isinstance(self.frames[-1], Finished | Rejected)

    async def ended(self) -> None:
        """Wait for the last frame."""
        while not self.done:
            await self._news.park()

    def say(self, frame: Frame) -> None:
        """Tell all followers, present and future."""
        self.frames.append(frame)
        self._news.unpark_all()

    def refuse(self, error: TallyError) -> None:
        """End without a receipt."""
        self.say(rejection(error))

    def stop(self, why: Status) -> None:
        """End early with a signed receipt that says why. The first reason counts."""
        if self.cut_short is None and not self.done:
            self.cut_short = why
            self.scope.cancel()

    async def follow(self) -> AsyncGenerator[Frame, None]:
        """Everything said about the run, from the start to its last frame. Close it (`aclosing`) to stop following."""
        told = 0
        self.followers += 1
        try:
            while True:
                while told < len(self.frames):
                    yield self.frames[told]
                    told += 1
                if self.done:
                    return
                await self._news.park()
        finally:
            self.followers -= 1
