"""How flows are told: a live list of steps while one runs, tables, JSON."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tallynet.client.display import money, plain
from tallynet.client.flow.picture import shape_of
from tallynet.client.flow.progress import StepProgress, StepState
from tallynet.client.flow.runner import FinishedFlow
from tallynet.protocol.bundle import read_bundle
from tallynet.protocol.flow import Flow
from tallynet.protocol.flow_checks import VerifiedFlow
from tallynet.protocol.flow_plan import plan_digest
from tallynet.protocol.flow_rules import CheckedFlow
from tallynet.protocol.flow_template import Value
from tallynet.protocol.leaf import Leaf
from tallynet.protocol.units import prefixed

MARKS = {
    StepState.WAITING: ("·", "dim"),
    StepState.RUNNING: ("▶", "yellow"),
    StepState.DONE: ("✓", "green"),
    StepState.FAILED: ("✗", "bold red"),
}
SAID_CHARACTERS = 44
EXCERPT = 40


@dataclass
class StepBoard:
    """The steps of a flow that runs: a table on a terminal, elsewhere nothing."""

    console: Console
    _steps: dict[str, StepProgress] = field(default_factory=dict)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """While the block lasts; the table stays on the screen at its end."""
        if not self.console.is_terminal:
            yield
            return
        with Live(console=self.console, get_renderable=self._table, refresh_per_second=8):
            yield

    def tell(self, progress: StepProgress) -> None:
        self._steps[progress.step] = progress

    @property
    def steps(self) -> tuple[StepProgress, ...]:
        return tuple(self._steps.values())

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for step in self.steps:
            mark, colour = MARKS[step.state]
            runs = f"{step.done}/{step.asked}" if step.asked else ""
            said = Text(plain(step.said)[:SAID_CHARACTERS], style="dim")
            table.add_row(Text(mark, style=colour), step.step, runs, said or Text(step.state, style="dim"))
        return table


def definition_table(checked: CheckedFlow) -> Table:
    """The steps of a definition, and what each builds on."""
    table = _table("STEP", "WHAT", "MODELS", "BUILDS ON")
    for name, known in checked.steps.items():
        on = [one for one in (*checked.flow.inputs, *checked.steps) if one in known.names]
        table.add_row(name, shape_of(known.step), ", ".join(known.step.models), ", ".join(on) or "-")
    return table


def finished_table(verified: VerifiedFlow) -> Table:
    """The steps of a finished flow, and what each gave."""
    table = _table("STEP", "RUNS", "DECIDED", "PRICE", "RESULT")
    for step in verified.steps:
        result = plain(" ".join(shown(step.result.value).split()))
        cut = result if len(result) <= EXCERPT else result[: EXCERPT - 1] + "…"
        table.add_row(step.name, str(len(step.runs)), step.result.said or "-", money(step.price), cut)
    return table


def shown(value: Value) -> str:
    """A result as it is printed: a list line by line."""
    return value if isinstance(value, str) else "\n".join(value)


def describe_definition(checked: CheckedFlow) -> dict[str, object]:
    flow: Flow = checked.flow
    return {
        "flow": flow.name,
        "inputs": dict(flow.inputs),
        "steps": [
            {
                "name": name,
                "shape": shape_of(known.step),
                "models": list(known.step.models),
                "builds_on": [one for one in (*flow.inputs, *checked.steps) if one in known.names],
            }
            for name, known in checked.steps.items()
        ],
    }


def describe_results(verified: VerifiedFlow) -> dict[str, object]:
    """What `flow show` adds for a finished flow."""
    return {
        "plan": prefixed(verified.plan),
        "results": {step.name: step.result.value for step in verified.steps},
        "decided": {step.name: step.result.said for step in verified.steps if step.result.said},
        "price_wei": str(sum(step.price for step in verified.steps)),
    }


def describe_finished(finished: FinishedFlow, file: Path, anchored: int) -> dict[str, object]:
    """The JSON object of `flow run`."""
    runs = [(run, read_bundle(run.bundle)) for run in finished.file.runs]
    return {
        "flow": finished.file.plan.flow.name,
        "plan": prefixed(plan_digest(finished.file.plan)),
        "result": finished.value,
        "results": {name: result.value for name, result in finished.results.items()},
        "decided": {name: result.said for name, result in finished.results.items() if result.said},
        "runs": [
            {
                "step": run.step,
                "place": run.place,
                "job": prefixed(bundle.receipt.receipt.job),
                "node": prefixed(bundle.node),
                "index": bundle.receipt.receipt.index,
                "price_wei": str(Leaf.unpack(bundle.receipt.leaf).price),
            }
            for run, bundle in runs
        ],
        "price_wei": str(finished.price),
        "anchored": anchored,
        "file": str(file),
    }


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table
