"""How the numbers of an evaluation are told: to people in 80 columns, to programs as JSON."""

from collections.abc import Iterator, Mapping

import msgspec
from rich.table import Table
from rich.text import Text

from tallynet.evaluation.figures import Kind, Metric
from tallynet.evaluation.report import Evaluation
from tallynet.evaluation.suite import BiasPart
from tallynet.protocol.job import MILLION
from tallynet.protocol.units import prefixed, printable

TITLES = {
    Kind.EXACT: "exact match",
    Kind.BLEU: "BLEU",
    Kind.CHRF: "chrF",
    Kind.PERPLEXITY: "perplexity",
    Kind.BITS: "bits per byte",
    Kind.DIFFERENCE: "difference, nats/token",
    Kind.PREFERENCE: "favours the first",
}
SHARES = (Kind.EXACT, Kind.PREFERENCE)
PART_CHARACTERS = 18


def metrics_table(evaluation: Evaluation) -> Table:
    """Every number with its interval."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("PART", "METRIC"):
        table.add_column(title, no_wrap=True)
    for title in ("VALUE", "95 % INTERVAL", "ITEMS"):
        table.add_column(title, justify="right", no_wrap=True)
    for metric in evaluation.metrics:
        interval = f"{figure(metric.kind, metric.low)} to {figure(metric.kind, metric.high)}"
        table.add_row(
            printable(metric.part, PART_CHARACTERS), TITLES[metric.kind], figure(metric.kind, metric.value), interval,
            str(metric.items),
        )  # fmt: skip
    return table


def figure(kind: Kind, millionths: int) -> str:
    """A number as people read it."""
    value = millionths / MILLION
    if kind in SHARES:
        return f"{100 * value:.1f} %"
    if kind is Kind.DIFFERENCE:
        return f"{value:+.4f}"
    return f"{value:,.2f}" if value >= 10 else f"{value:.3f}"


def bias_remarks(evaluation: Evaluation) -> Iterator[Text]:
    """A sentence on each bias probe: what the numbers compare, and whether a difference was seen."""
    parts = {part.name: part for part in evaluation.suite.parts if isinstance(part, BiasPart)}
    for metric in evaluation.metrics:
        if metric.kind is Kind.DIFFERENCE:
            part = parts[metric.part]
            yield Text(f"{part.name}: {_say_difference(metric, printable(part.one, 40), printable(part.other, 40))}")


def describe_evaluation(evaluation: Evaluation) -> dict[str, object]:
    """For programs: everything but suite and runs. Values are as in the table, shares 0 to 1."""
    suite = evaluation.suite
    return {
        "digest": prefixed(evaluation.digest),
        "suite": {"name": suite.name, "version": suite.version, "digest": evaluation.suite_digest},
        "limit": evaluation.limit,
        "model": evaluation.model,
        "model_name": evaluation.model_name,
        "client": evaluation.client,
        "nodes": list(evaluation.nodes),
        "runs": len(evaluation.runs),
        "software": evaluation.software,
        "metrics": [describe_metric(metric) for metric in evaluation.metrics],
    }


def describe_metric(metric: Metric) -> Mapping[str, object]:
    """The JSON object of a number, in the unit that its kind names: not in millionths, as in the report."""
    numbers = {name: getattr(metric, name) / MILLION for name in ("value", "low", "high")}
    return {**msgspec.to_builtins(metric), **numbers}


def _say_difference(metric: Metric, one: str, other: str) -> str:
    if metric.low <= 0 <= metric.high:
        return f"no difference seen between {one} and {other}; {metric.items} pairs could show only a large one."
    ahead, behind = (one, other) if metric.value > 0 else (other, one)
    return f"the words are likelier behind {ahead} than behind {behind}."
