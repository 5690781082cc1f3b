"""What came of each cheat of the engine layer, and whether it is what must come."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rich.table import Table
from rich.text import Text

MOST_TOKENS = {"temperature": 500}
"""For cheats that may take several runs."""
MOST_PASSING = 1e-3
"""The part of forged sketches that may pass."""


@dataclass(frozen=True, slots=True)
class EngineResult:
    """One cheat on one model."""

    model: str
    kind: str
    must: bool
    """Whether every single run has to be caught."""
    runs: int
    caught: int
    suspected: int
    tokens_per_run: int
    tokens_needed: int | None
    """The fewest tokens with which this node's accumulated scores were a FAIL; None if all were not enough."""
    tokens_estimated: int | None
    """By the mean scores; None where they are those of an honest node."""
    reason: str

    @property
    def good(self) -> bool:
        if self.must:
            return self.caught == self.runs
        most = MOST_TOKENS.get(self.kind)
        return most is None or (self.tokens_needed is not None and self.tokens_needed < most)

    def describe(self) -> dict[str, object]:
        return {**asdict(self), "detection_rate": self.caught / self.runs, "good": self.good}


@dataclass(frozen=True, slots=True)
class HonestResult:
    """Honest runs on one model, over number formats, kernels and widths."""

    model: str
    runs: int
    suspected: int
    failed: int
    tokens: int
    pairs: tuple[str, ...]
    reason: str
    """Of the first that failed."""

    @property
    def good(self) -> bool:
        return self.failed == 0

    def describe(self) -> dict[str, object]:
        """With the bound on the rate of honest runs that FAIL, at 95 % confidence."""
        below = 3 / self.runs if not self.failed else None
        return {**asdict(self), "kind": "honest", "fail_rate_below": below, "good": self.good}


@dataclass(frozen=True, slots=True)
class NullResult:
    """One forger on single groups."""

    model: str
    kind: str
    groups: int
    passed: int

    @property
    def good(self) -> bool:
        return self.passed <= MOST_PASSING * self.groups

    def describe(self) -> dict[str, object]:
        return {**asdict(self), "pass_rate": self.passed / self.groups, "good": self.good}


Result = EngineResult | HonestResult | NullResult


def describe_engine(results: Sequence[Result]) -> dict[str, object]:
    """The honest runs beside the cheats and the forgers, and whether all is as it must be."""

    def told(kind: type[Result]) -> list[dict[str, object]]:
        return [result.describe() for result in results if isinstance(result, kind)]

    return {
        "layer": "engine",
        "good": all(result.good for result in results),
        "honest": told(HonestResult),
        "cheats": told(EngineResult),
        "forgers": told(NullResult),
    }


def engine_table(results: Sequence[Result]) -> Table:
    """80 columns."""
    drawn = Table(box=None, pad_edge=False, header_style="dim", width=80)
    for heading, width, right in (
        ("cheat", 21, False),
        ("caught", 9, True),
        ("tokens", 8, True),
        ("estimate", 9, True),
    ):
        drawn.add_column(heading, width=width, justify="right" if right else "left", no_wrap=True)
    drawn.add_column("reason", overflow="fold")
    model = ""
    for result in results:
        if result.model != model:
            model = result.model
            drawn.add_row(Text(model, style="bold"))
        drawn.add_row(*_row(result))
    return drawn


def _row(result: Result) -> tuple[Text, str, str, str, Text]:
    style = "green" if result.good else "bold red"
    if isinstance(result, HonestResult):
        said = f"{result.suspected} suspect; under {3 / result.runs:.2%} FAIL" if result.good else result.reason
        return Text("honest", style=style), f"{result.failed}/{result.runs:,}", "", "", Text(said)
    if isinstance(result, NullResult):
        said = f"{result.passed} of {result.groups:,} forged groups pass"
        return Text(f"{result.kind} x1", style=style), f"{result.groups - result.passed:,}", "16", "", Text(said)
    return (
        Text(result.kind, style=style),
        f"{result.caught}/{result.runs}",
        f"{result.tokens_needed:,}" if result.tokens_needed else f"> {result.runs * result.tokens_per_run:,}",
        f"{result.tokens_estimated:,}" if result.tokens_estimated else "never",
        Text(result.reason),
    )
