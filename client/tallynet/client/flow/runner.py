"""Running a flow: every step as soon as those that it builds on are done, and no finished run a second time.

    async with AsyncClient() as client:
        finished = await run_flow(client, flow, {"country": "Japan"}, state=Path("D"))
    print(finished.value)
    finished.save("capitals.flow.tally")

What is asked next is decided in `protocol.flow_calls`, by the functions that an auditor uses afterwards.
"""

import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import trio

from tallynet.client.client import AsyncClient
from tallynet.client.flow.inputs import salted
from tallynet.client.flow.jobs import Jobs
from tallynet.client.flow.journal import Begun, Journal, begun, open_journal
from tallynet.client.flow.progress import StepProgress, StepState, Tell, tell_nobody
from tallynet.client.flow.saving import save_flow
from tallynet.client.flow.standing import read_run
from tallynet.protocol.bundle import read_bundle
from tallynet.protocol.errors import Misconfigured, TallyError
from tallynet.protocol.flow import Flow
from tallynet.protocol.flow_calls import Call, Known, Result, Run, advance
from tallynet.protocol.flow_closing import close_inputs
from tallynet.protocol.flow_file import FlowFile, StepRun
from tallynet.protocol.flow_plan import make_plan, plan_digest
from tallynet.protocol.flow_rules import CheckedFlow, check_flow
from tallynet.protocol.flow_template import Value
from tallynet.protocol.leaf import Leaf
from tallynet.protocol.units import ModelId, Wei

AT_ONCE = 8
DEADLINE_SECONDS = 1800.0
"""Of each job: as long as a crashed flow can still fetch its answer."""


class FlowOptions(TypedDict, total=False):
    """The options of `run_flow`."""

    resume: bool
    """Go on with what was begun in the folder; otherwise it must hold nothing."""
    at_once: int
    """Jobs under way at the same time; 8 by default."""
    deadline_seconds: float
    """Of each job, 1800 by default. After it, a job that a crash interrupted is signed anew."""
    max_price_wei: int | None
    """Ceiling for each job. Without it what the nodes advertise is paid."""
    ask_others: bool
    """Hand a job to another node when the one that may have done it is gone: it may then be paid for twice."""
    tell: Tell
    """Hears of every change of a step."""


@dataclass(frozen=True, slots=True)
class FinishedFlow:
    """A flow that has been run to its end."""

    file: FlowFile
    results: Mapping[str, Result]
    """By step."""

    @property
    def value(self) -> Value:
        """The result of the last step."""
        return self.results[self.file.plan.flow.last].value

    @property
    def price(self) -> Wei:
        """Of all its jobs, in wei."""
        return Wei(sum(Leaf.unpack(read_bundle(run.bundle).receipt.leaf).price for run in self.file.runs))

    def save(self, path: Path | str, close: Collection[str] = ()) -> Path:
        """Write the flow file, without the values of the inputs in `close`. Raises `Misconfigured`."""
        return save_flow(close_inputs(self.file, close), path)


async def run_flow(
    client: AsyncClient,
    flow: Flow,
    inputs: Mapping[str, Value],
    *,
    state: Path | str,
    resume: bool = False,
    at_once: int = AT_ONCE,
    deadline_seconds: float = DEADLINE_SECONDS,
    max_price_wei: int | None = None,
    ask_others: bool = False,
    tell: Tell = tell_nobody,
) -> FinishedFlow:
    """Run a flow, or go on with it; see `FlowOptions`. `state` is the folder of this run, made if it is not there.

    Raises `InvalidFlow` for a definition or inputs that cannot be run, `Misconfigured` for the folder, `StepFailed`
    with the name of the step that could not be done: everything that was finished is kept, and `resume` goes on.
    Raises ValueError for less than one job at a time.
    """
    if at_once < 1:
        raise ValueError(f"{at_once} jobs at a time is no way to run any")
    checked = check_flow(flow)
    with open_journal(Path(state)) as journal:
        start = await _begin(client, checked, inputs, journal, resume)
        models = {name: ModelId(bytes.fromhex(model[2:])) for name, model in start.plan.models.items()}
        price = None if max_price_wei is None else Wei(max_price_wei)
        jobs = Jobs(client, journal, models, start.secret, plan_digest(start.plan), deadline_seconds, price, ask_others)
        runner = _Runner(checked, jobs, Known(start.values), journal.runs(), trio.CapacityLimiter(at_once), tell)
        await runner.run()
    runs = tuple(runner.done[name, place] for name in checked.steps for place in range(runner.count(name)))
    return FinishedFlow(FlowFile(start.plan, start.secret, start.opened, runs), runner.known.results)


async def _begin(
    client: AsyncClient, checked: CheckedFlow, inputs: Mapping[str, Value], journal: Journal, resume: bool
) -> Begun:
    """What the run is tied to: from the journal when it goes on, otherwise new."""
    values: dict[str, Value] = {
        name: value if isinstance(value, str) else tuple(value) for name, value in inputs.items()
    }
    known = journal.begun()
    if known is not None:
        if not resume:
            raise Misconfigured(
                f"The flow {known.plan.flow.name!r} was begun in this folder already.",
                remedy="Go on with --resume, or name another folder with --state.",
            )
        await _check_same(known, client, checked, values)
        return known
    if resume:
        raise Misconfigured("No flow was begun in this folder.", remedy="Leave out --resume to begin it.")
    models = {name: await client.model_id(name) for name in checked.flow.models}
    given = salted(values)
    plan = make_plan(checked, models, given)
    new = begun(plan, secrets.token_bytes(32), given, await client.address(), client.network.domain)
    journal.begin(new)
    return new


async def _check_same(known: Begun, client: AsyncClient, checked: CheckedFlow, values: Mapping[str, Value]) -> None:
    """Raises `Misconfigured` when what goes on is not what was begun."""
    if (known.client, known.domain) != (await client.address(), client.network.domain):
        raise Misconfigured(
            "The flow was begun with another key, or on another network.",
            remedy="Use the same client key and network: one client signs all jobs of a flow.",
        )
    if known.plan.flow != checked.flow:
        raise Misconfigured(
            "The definition is another one than when the flow was begun.",
            remedy="Take the old definition, or begin anew in another folder with --state.",
        )
    if any(known.values.get(name) != value for name, value in values.items()):
        raise Misconfigured(
            "The inputs are others than when the flow was begun.", remedy="Leave out --input: they are kept."
        )


class _Runner:
    """All steps of one flow under way."""

    def __init__(
        self,
        checked: CheckedFlow,
        jobs: Jobs,
        known: Known,
        finished: Sequence[StepRun],
        limiter: trio.CapacityLimiter,
        tell: Callable[[StepProgress], None],
    ) -> None:
        self.known = known
        self.done = {(run.step, run.place): run for run in finished}
        self._checked = checked
        self._jobs = jobs
        self._limiter = limiter
        self._tell = tell
        self._ended = {name: trio.Event() for name in checked.steps}
        self._failures: dict[str, TallyError] = {}

    async def run(self) -> None:
        """Returns once every step is done. A failed one ends only those that build on it; then it is raised."""
        for name in self._checked.steps:
            self._tell(StepProgress(name, StepState.WAITING))
        async with trio.open_nursery() as nursery:
            for name in self._checked.steps:
                nursery.start_soon(self._step, name)
        for name in self._checked.steps:
            if name in self._failures:
                raise self._failures[name]

    def count(self, name: str) -> int:
        """How many runs of the step are done."""
        return sum(step == name for step, _ in self.done)

    async def _step(self, name: str) -> None:
        """Wait for what it builds on, then do its jobs, wave after wave."""
        parents = self._checked.parents(name)
        for parent in parents:
            await self._ended[parent].wait()
        try:
            if all(parent in self.known.results for parent in parents):
                await self._work(name)
        except TallyError as error:
            self._failures[name] = error
            self._tell(StepProgress(name, StepState.FAILED, self.count(name), self.count(name), error.message))
        finally:
            self._ended[name].set()

    async def _work(self, name: str) -> None:
        runs: list[Run] = []
        while not isinstance(found := advance(self._checked, name, self.known, runs), Result):
            await self._wave(name, found, len(runs) + len(found))
            runs += [read_run(self.done[name, call.place]) for call in found]
        self.known.results[name] = found
        self._tell(StepProgress(name, StepState.DONE, len(runs), len(runs), found.said))

    async def _wave(self, name: str, calls: Sequence[Call], asked: int) -> None:
        """All jobs of one wave that are not done; one that fails lets the others end, and is raised then."""
        failures: list[TallyError] = []

        async def work(call: Call) -> None:
            async with self._limiter:
                try:
                    self.done[name, call.place] = await self._jobs.run(name, call)
                except TallyError as error:
                    failures.append(error)
            self._tell(StepProgress(name, StepState.RUNNING, self.count(name), asked))

        self._tell(StepProgress(name, StepState.RUNNING, self.count(name), asked))
        async with trio.open_nursery() as nursery:
            for call in calls:
                if (name, call.place) not in self.done:
                    nursery.start_soon(work, call)
        if failures:
            raise failures[0]
