"""The table that `devnet up` keeps up to date while the network starts, 80 columns wide."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

_COLOURS = {"ready": "green", "starting": "yellow"}


@dataclass
class _Row:
    began: float
    seconds: float | None = None
    """From start to ready, once it is."""
    where: str = ""


@dataclass
class Board:
    """Who is ready, where, and after how many seconds."""

    console: Console
    _rows: dict[str, _Row] = field(default_factory=dict)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Keep the table on the screen inside this block; on anything but a terminal it is printed once, at the end."""
        with Live(console=self.console, get_renderable=self._table, refresh_per_second=4):
            yield
        if not self.console.is_terminal:
            self.console.print()  # `Live` ends its last line on a terminal only

    def start(self, what: str) -> None:
        self._rows[what] = _Row(time.monotonic())

    def ready(self, what: str, where: str) -> None:
        row = self._rows[what]
        row.where, row.seconds = where, time.monotonic() - row.began

    def say(self, message: str) -> None:
        self.console.print(Text(message, style="red"))

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False)
        for heading, width in (("", 9), ("state", 8), ("where", 50)):
            table.add_column(heading, width=width, overflow="ellipsis", no_wrap=True)
        table.add_column("time", width=7, justify="right", no_wrap=True)
        for what, row in self._rows.items():
            state = "starting" if row.seconds is None else "ready"
            seconds = time.monotonic() - row.began if row.seconds is None else row.seconds
            table.add_row(what, Text(state, style=_COLOURS[state]), row.where, f"{seconds:.1f} s")
        return table
