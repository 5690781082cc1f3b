"""What was measured, each figure beside what it is compared with: a table 80 columns wide, or one JSON object."""

import os
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace

from rich.table import Table
from rich.text import Text


@dataclass(frozen=True, slots=True)
class Row:
    """One figure, and what it means."""

    key: str
    what: str
    figure: float
    unit: str
    baseline: float | None = None
    """Measured in the same run, in the same unit."""
    ratio: float | None = None
    """Median over the rounds of figure / baseline."""
    aim: str = ""
    met: bool | None = None
    """None where there is no aim."""


def compare(key: str, what: str, unit: str, pairs: Sequence[tuple[float, float]], least: float | None = None) -> Row:
    """The row of alternating rounds, as (baseline, figure); the aim is a ratio of at least `least`."""
    baseline = statistics.median(first for first, _ in pairs)
    figure = statistics.median(second for _, second in pairs)
    ratio = statistics.median(second / first for first, second in pairs)
    aim, met = ("", None) if least is None else (f"≥ {least:g}x", ratio >= least)
    return Row(key, what, figure, unit, baseline, ratio, aim, met)


def at_most(key: str, what: str, figure: float, unit: str, most: float) -> Row:
    """The row of a figure with an upper bound."""
    return Row(key, what, figure, unit, aim=f"≤ {most:g}", met=figure <= most)


def within(row: Row, aim: str, met: bool) -> Row:
    """The same row with an aim for its figure."""
    return replace(row, aim=aim, met=met)


def table(rows: Iterable[Row]) -> Table:
    drawn = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for heading, width in (("", 33), ("figure", 12), ("baseline", 9), ("ratio", 7), ("aim", 6), ("", 5)):
        left = not heading or heading == "aim"
        drawn.add_column(heading, width=width, justify="left" if left else "right", no_wrap=True)
    for row in rows:
        drawn.add_row(row.what, f"{_number(row.figure)} {row.unit}", *_comparison(row), row.aim, _verdict(row))
    return drawn


def as_json(rows: Iterable[Row], machine: dict[str, object]) -> dict[str, object]:
    return {"machine": machine, "figures": {row.key: asdict(row) for row in rows}}


def machine() -> dict[str, object]:
    """What the figures hold for: all processes share these cores."""
    return {"cores": os.cpu_count(), "load": round(os.getloadavg()[0], 2)}


def _comparison(row: Row) -> tuple[str, str]:
    baseline = "" if row.baseline is None else _number(row.baseline)
    return baseline, "" if row.ratio is None else f"{row.ratio:.{2 if row.ratio < 0.01 else 3}g}x"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _verdict(row: Row) -> Text:
    if row.met is None:
        return Text("")
    return Text("ok", style="green") if row.met else Text("short", style="red")
