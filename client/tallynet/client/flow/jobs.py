"""One run of a step, answered once: a job that may have reached a node is asked for again, not signed anew.

Only when the node itself says that it will never answer the job whole, or its deadline is over, is another one signed.
"""

import logging
from dataclasses import dataclass

import trio

from tallynet.client.answer import Answer
from tallynet.client.client import AsyncClient
from tallynet.client.flow.journal import Journal, Placed
from tallynet.client.terms import AskOptions
from tallynet.protocol.bundle import write_bundle
from tallynet.protocol.errors import Invalid, Refused, StepFailed, TallyError, Unreachable
from tallynet.protocol.flow_calls import Call
from tallynet.protocol.flow_file import StepRun
from tallynet.protocol.flow_plan import job_nonce
from tallynet.protocol.job import MILLION
from tallynet.protocol.request import NO_MESSAGES, Request
from tallynet.protocol.units import Address, Digest, ModelId, Wei, prefixed

log = logging.getLogger(__name__)

JOBS_PER_RUN = 3
"""Jobs signed at most for one run in one sitting: the others were cut short by their node, or lost with it."""


@dataclass(frozen=True, slots=True)
class Jobs:
    """Asks for the runs of one flow."""

    client: AsyncClient
    journal: Journal
    models: dict[str, ModelId]
    secret: bytes
    plan: Digest
    deadline_seconds: float
    """Of each job."""
    max_price: Wei | None
    """Of each job."""
    ask_others: bool
    """Whether a job is handed to another node when the one that may have done it is gone."""

    async def run(self, step: str, call: Call) -> StepRun:
        """The finished run, in the journal. Raises `StepFailed`."""
        found: Answer | str = ""
        for _ in range(JOBS_PER_RUN):
            found = await self._whole(step, call)
            if isinstance(found, Answer):
                data = write_bundle(found.bundle()).encode()
                self.journal.answer(step, call.place, data)
                return StepRun(step, call.place, data)
            self.journal.end(step, call.place, found)
            log.info("step %s, run %d: this job has no whole answer: %s", step, call.place, found)
        raise StepFailed(
            f"run {call.place} on {call.model}: {JOBS_PER_RUN} jobs and no whole answer, at last: {found}.", step=step
        )

    async def _whole(self, step: str, call: Call) -> Answer | str:
        """The whole answer to the job, or why it will never have one. Raises `StepFailed` where a new job is no use."""
        placed = await self._placed(step, call)
        try:
            answer = await self._hear(step, call.place, placed)
        except Invalid as error:
            return str(error)
        except Refused as error:
            if placed.node is not None:
                return str(error)
            self.journal.end(step, call.place, str(error))
            raise _failed(step, call, error) from error
        except TallyError as error:
            raise _failed(step, call, error, self._lost(step, call.place, error)) from error
        return answer if answer.status.finished else answer.status.name.lower()

    async def _placed(self, step: str, call: Call) -> Placed:
        """The job that was signed before and can still be answered, or a new one."""
        placed = self.journal.placed(step, call.place, self.client.network.domain)
        if placed is not None and placed.order.job.job.deadline > self.client.now():
            return placed
        if placed is not None:
            self.journal.end(step, call.place, "the deadline has passed")
        try:
            order = await self.client.order(
                prefixed(self.models[call.model]),
                _request(call),
                nonce=job_nonce(self.secret, self.plan, step, call.place),
                **self._options(call),
            )
        except TallyError as error:
            raise _failed(step, call, error) from error
        self.journal.place(step, call.place, order)
        return Placed(order, None)

    async def _hear(self, step: str, place: int, placed: Placed) -> Answer:
        """The whole answer, from the node that was handed the job before, if there is one."""
        node = None if self.ask_others else placed.node

        async def tell(node: Address) -> None:
            self.journal.hand(step, place, node)
            await trio.lowlevel.checkpoint()

        async with self.client.send(placed.order, node=node, tell=tell) as stream:
            return await stream.finish()

    def _lost(self, step: str, place: int, error: TallyError) -> Address | None:
        """The node that may have done the job, when it is out of reach."""
        placed = self.journal.placed(step, place, self.client.network.domain)
        return placed.node if placed is not None and isinstance(error, Unreachable) else None

    def _options(self, call: Call) -> AskOptions:
        sampling = call.step.sampling
        return AskOptions(
            max_tokens=sampling.max_tokens,
            temperature=sampling.temperature_millionths / MILLION,
            top_k=sampling.top_k,
            top_p=sampling.top_p_millionths / MILLION,
            stop=sampling.stop,
            deadline_seconds=self.deadline_seconds,
            max_price_wei=self.max_price,
            parents=call.parents,
        )


def _request(call: Call) -> Request:
    if call.request is None:
        raise ValueError("a flow that runs has no closed inputs")
    return call.request


def _failed(step: str, call: Call, error: TallyError, lost: Address | None = None) -> StepFailed:
    """`lost` is the node that may have done the job."""
    remedy = f"{error.remedy} Then go on with --resume."
    if isinstance(error, Refused) and error.reason.startswith(NO_MESSAGES):
        remedy = "Say `raw: true` in the step, and begin anew: it is another definition then."
    if lost is not None:
        remedy = (
            f"Node {prefixed(lost)} may have done the job: go on with --resume once it is back, or with --ask-others, "
            "which may pay for it twice."
        )
    return StepFailed(f"run {call.place} on {call.model}: {error}", step=step, remedy=remedy)
