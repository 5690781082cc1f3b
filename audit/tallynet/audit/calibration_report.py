"""How a calibration is told: thresholds, what held-out honest runs made of them, and every attack."""

from collections.abc import Mapping
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from tallynet.audit.thresholds import ThresholdFile


def print_calibration(out: Console, found: ThresholdFile) -> None:
    held: Mapping[str, Any] = found.evidence["held_out"]
    honest = _table("honest runs", "held out", "suspect", "fail", "rate", "slack")
    for pair, thresholds in found.pairs.items():
        row = held[pair]
        honest.add_row(
            pair, f"{row['runs']}", f"{row['suspect']}", f"{row['fail']}", f"{thresholds.mismatches:.2%}",
            f"{thresholds.slack:.2f}",
        )  # fmt: skip
    out.print(honest)
    attacks = _table("attack", "best score", "AUC", "power", "tokens")
    for name, row in found.evidence["attacks"].items():
        score, curve = max(row["roc"].items(), key=lambda item: item[1]["auc"])
        attacks.add_row(name, score, f"{curve['auc']:.3f}", f"{curve['power']:.0%}", _fewest(row))
    if found.evidence["attacks"]:
        out.print(attacks)


def describe_calibration(found: ThresholdFile) -> dict[str, object]:
    """The JSON object of `tallynet calibrate`; raw scores are in the file."""
    held: Mapping[str, Any] = found.evidence["held_out"]
    return {
        "model": found.evidence["model"],
        "pairs": msgspec.to_builtins(found.pairs),
        "held_out": held,
        "honest_fail": sum(row["fail"] for row in held.values()),
        "attacks": found.evidence["attacks"],
    }


def _fewest(row: Mapping[str, Any]) -> str:
    known = [value for name, value in row.items() if name.startswith("tokens_by_") and value is not None]
    return f"{min(known):,}" if known else "never"


def _table(*headings: str) -> Table:
    drawn = Table(box=None, pad_edge=False, header_style="dim")
    for number, heading in enumerate(headings):
        drawn.add_column(heading, justify="left" if number == 0 else "right", no_wrap=True)
    return drawn
