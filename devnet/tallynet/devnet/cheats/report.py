"""What came of each cheat, and whether it is what must come."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rich.table import Table
from rich.text import Text

HONEST = "honest"
STOPPED = "stopped"
"""The node's own program does not start: nothing was signed, so there is nothing to slash for."""

MUST_BE: Final[dict[str, tuple[str, bool]]] = {
    HONEST: ("", False),
    "late-anchor": ("late", True),
    "dropped-leaf": ("late", True),
    "altered-leaf": ("leaf", True),
    "double-index": ("pair", True),
    "forked-checkpoint": ("fork", True),
    "withheld-tiles": ("withheld", True),
    "stale-backup": (STOPPED, False),
    "stale-backup-ignored": ("pair", True),
}
"""For each kind the name of what is found, and whether the stake is taken for it."""

_NODE = re.compile(r"^Node 0x[0-9a-f]{40} ")


@dataclass(frozen=True, slots=True)
class Result:
    """Of one kind."""

    kind: str
    name: str = ""
    """Of what was found; empty for nothing."""
    words: str = ""
    slashed: bool = False
    gas: int = 0
    """Of the transaction that took the stake; 0 in a world without gas."""

    @property
    def caught(self) -> bool:
        return bool(self.name)

    @property
    def reason(self) -> str:
        return f"{self.name}: {self.words}" if self.name else ""

    @property
    def good(self) -> bool:
        return (self.name, self.slashed) == MUST_BE[self.kind]

    def describe(self) -> dict[str, object]:
        return {
            "kind": self.kind,
            "caught": self.caught,
            "reason": self.reason,
            "slashed": self.slashed,
            "gas": self.gas,
        }


def describe(layer: str, results: Sequence[Result]) -> dict[str, object]:
    """The honest run beside the cheats, and whether all is as it must be."""
    (honest,) = (result for result in results if result.kind == HONEST)
    cheats = [result.describe() for result in results if result is not honest]
    return {
        "layer": layer,
        "good": all(result.good for result in results),
        "honest": honest.describe(),
        "cheats": cheats,
    }


def table(results: Sequence[Result]) -> Table:
    """80 columns."""
    drawn = Table(box=None, pad_edge=False, header_style="dim", width=80)
    for heading, width in (("cheat", 20), ("found", 8), ("stake", 6), ("gas", 7)):
        drawn.add_column(heading, width=width, justify="right" if heading == "gas" else "left", no_wrap=True)
    drawn.add_column("reason", overflow="fold")
    for result in results:
        colour = "green" if result.good else "bold red"
        found = Text(result.name or "nothing", style=colour)
        taken = "taken" if result.slashed else "kept"
        words = _NODE.sub("It ", result.words)
        drawn.add_row(result.kind, found, taken, f"{result.gas:,}" if result.gas else "", Text(words))
    return drawn
