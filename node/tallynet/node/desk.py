"""Where jobs come in: each is attached to its run, replayed from the log, or admitted, exactly once."""

import logging
from collections import Counter
from dataclasses import dataclass, field

import trio

from tallynet.network.frames import FROM_NODE
from tallynet.node.admission import Admission, Admitted
from tallynet.node.engines import Served
from tallynet.node.generation import Worker
from tallynet.node.metrics import Metrics
from tallynet.node.run import Run
from tallynet.node.signing import promise
from tallynet.protocol.advert import Offer
from tallynet.protocol.errors import Busy, InvalidJob, Refused
from tallynet.protocol.job import VerifiedJob
from tallynet.protocol.leaf import Status
from tallynet.protocol.units import JobId, ModelId, Seconds, short
from tallynet.protocol.wire import HEADER_BYTES, Finished, Frame, Submit, decode_length

log = logging.getLogger(__name__)

DRAIN_RETRY_MS = 5000


@dataclass
class Desk:
    """All runs of one node."""

    admission: Admission
    worker: Worker
    metrics: Metrics
    nursery: trio.Nursery
    """Where runs live; it outlives every connection."""
    runs: dict[JobId, Run] = field(default_factory=dict)
    taken: Counter[ModelId] = field(default_factory=Counter)
    """How many of them each model has."""
    closed: bool = False

    async def take(self, submit: Submit) -> Run:
        """The run of a submitted job. Raises `InvalidJob`, `Busy` or `Refused` when there will be none."""
        job = self.admission.identify(submit, self.worker.clock())
        self.admission.check_opening(submit, job)  # before any answer: only who knows the request may have it
        known = self.runs.get(job.id) or await self._replay(job)
        if known is not None:
            return known
        if self.closed:
            raise Busy("the node is stopping", retry_after_ms=DRAIN_RETRY_MS)
        return await self._admit(submit, job)

    async def _admit(self, submit: Submit, job: VerifiedJob) -> Run:
        """Start the run. It is entered before anything is awaited, so that a second arrival attaches to it."""
        served = self.admission.choose(job)
        run = self._enter(job)
        try:
            taken = self.taken[served.model] - 1
            offer = served.offer(taken)
            admitted = await self.admission.admit(submit, job, served, offer, taken)
            await self.worker.journal.begin(job.id, Seconds(job.job.deadline // 1000 + 1))
        except (InvalidJob, Busy) as error:
            self._leave(run)
            run.refuse(error)
            raise
        except BaseException:
            self._leave(run)
            run.refuse(Busy("the job was not taken", retry_after_ms=1000))
            raise
        log.info("job %s: admitted for %s, %d prompt tokens", short(job.id), served.name, len(admitted.prompt))
        self.nursery.start_soon(self._work, run, admitted, served, offer)
        return run

    async def _work(self, run: Run, admitted: Admitted, served: Served, offer: Offer) -> None:
        try:
            leaf = await self.worker.work(run, admitted, offer)
        finally:
            self._leave(run)
        if leaf is not None:
            self.metrics.count(leaf, served.name)

    def _enter(self, job: VerifiedJob) -> Run:
        run = self.runs[job.id] = Run(job)
        self.taken[job.job.model] += 1
        return run

    def _leave(self, run: Run) -> None:
        del self.runs[run.job.id]
        self.taken[run.job.job.model] -= 1

    async def _replay(self, job: VerifiedJob) -> Run | None:
        """The run of a job that is in the log already: the same answer, the same receipt.

        Raises `Refused` for one that was interrupted: part of an answer was signed, and nothing may contradict it.
        """
        journal = self.worker.journal
        if not journal.knows(job.id):
            return self.runs.get(job.id)
        begun = await journal.has_begun(job.id)  # asked first: while we look, a run may end, but none begins
        entry = await journal.entry(job.id)
        if entry is None:
            run = self.runs.get(job.id)
            if run is None and begun:
                raise Refused(
                    "the node lost power in the middle of this job",
                    reason="interrupted",
                    remedy="Ask again with a new job: this one is never run a second time.",
                )
            return run
        answer = await journal.answer(job.id)
        if answer is None:
            raise Refused(
                "the job was done and its answer is no longer kept; ask the log for its receipt",
                reason="answer no longer kept",
            )
        run = Run(job)
        run.frames = _frames(answer)
        signed = promise(journal, entry.leaf, entry.index, entry.anchor_by, self.worker.domain, self.worker.key)
        run.say(Finished(signed))
        return run

    def watch_abandoned(self, run: Run, seconds: float) -> None:
        """A follower went away: stop the run unless it ends or somebody comes back within `seconds`."""

        async def watch() -> None:
            with trio.move_on_after(seconds):
                await run.ended()
            if not run.followers:
                run.stop(Status.CANCELLED)

        if not run.followers:
            self.nursery.start_soon(watch)

    async def drain(self, seconds: float) -> None:
        """Take nothing new; let the runs finish for `seconds`, then end them with a signed reason."""
        self.closed = True
        with trio.move_on_after(seconds):
            await self._all_done()
        for run in list(self.runs.values()):
            run.stop(Status.SHUTDOWN)
        await self._all_done()

    async def _all_done(self) -> None:
        while self.runs:
            await next(iter(self.runs.values())).ended()
            await trio.lowlevel.checkpoint()


def _frames(answer: bytes) -> list[Frame]:
    frames: list[Frame] = []
    while answer:
        end = HEADER_BYTES + decode_length(answer[:HEADER_BYTES])
        frames.append(FROM_NODE.decode(answer[HEADER_BYTES:end]))
        answer = answer[end:]
    return frames
