"""Answers as they come: server-sent events, one line to the caller for all choices.

Every piece was checked against the node's signature before it is sent. `[DONE]` comes after a whole answer and never
after an error, so that nobody takes a part for the whole.
"""

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import trio

from tallynet.client.answer_stream import AnswerStream
from tallynet.client.gateway.connection import Line, ungrouped
from tallynet.client.gateway.faults import ApiError, translate
from tallynet.client.gateway.forms import Choice, Form, usage_of
from tallynet.client.gateway.jobs import Jobs
from tallynet.client.gateway.run import Run, headers_begun, part_of, tally_of
from tallynet.client.gateway.visit import Visit
from tallynet.protocol.errors import TallyError
from tallynet.protocol.units import Seconds

HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}


@dataclass
class Telling:
    """One streamed answer."""

    form: Form
    jobs: Jobs
    visit: Visit
    line: Line
    clock: Callable[[], float]
    created: Seconds
    streams: list[AnswerStream] = field(default_factory=list)
    runs: dict[int, Run] = field(default_factory=dict)
    """Of the choices that have ended, by their index."""

    async def tell(self) -> None:
        """All of it. Raises `ApiError` before the first event; afterwards an error is the last event."""
        asked = self.form.asked
        async with AsyncExitStack() as stack:
            for request in asked.requests:
                self.streams.append(await stack.enter_async_context(self.jobs.begin(asked, request, self.visit)))
            await self.line.open("text/event-stream; charset=utf-8", {**HEADERS, **headers_begun(self.streams)})
            try:
                await self._tell_all()
                await self.line.event("[DONE]")
            except ApiError as error:
                self.visit.error = error.name
                await self.line.event(error.body)
            await self.line.close()

    async def _tell_all(self) -> None:
        async with ungrouped(), trio.open_nursery() as nursery:
            for index, stream in enumerate(self.streams):
                nursery.start_soon(self._tell_one, index, stream)
        if self.form.asked.body.include_usage:
            answers = [run.answer for run in self._all_runs()]
            await self._event([], {"usage": usage_of(answers), "tally": tally_of(self._all_runs())})

    async def _tell_one(self, index: int, stream: AnswerStream) -> None:
        """One choice, from its first event to its finish reason. Raises `ApiError` with what there is of evidence."""
        try:
            await self._pieces(index, stream)
            run = await self.jobs.conclude(stream, self.form.asked, self.visit)
        except TallyError as error:
            raise translate(error, part_of(stream)) from error
        self.runs[index] = run
        ends_all = len(self.runs) == len(self.streams) and not self.form.asked.body.include_usage
        more = {"tally": tally_of(self._all_runs())} if ends_all else {}
        await self._event([self.form.last(index, run.answer)], more)

    async def _pieces(self, index: int, stream: AnswerStream) -> None:
        first = self.form.first(index)
        if first is not None:
            await self._event([first])
        offset = len(str(first.get("text", ""))) if first else 0
        while (body := await stream.next_chunk()) is not None:
            if self.visit.first_text is None:
                self.visit.first_text = self.clock()
            await self._event([self.form.piece(index, body, offset)])
            offset += len(body.text)

    async def _event(self, choices: list[Choice], more: Mapping[str, object] | None = None) -> None:
        first = self.streams[0]
        usage = {"usage": None} if self.form.asked.body.include_usage else {}
        event = self.form.event(first.job, first.model_name, self.created, choices)
        await self.line.event({**event, **usage, **(more or {})})

    def _all_runs(self) -> list[Run]:
        return [self.runs[index] for index in range(len(self.streams))]
