"""How far an audit came: a bar with the time that is left, or a line now and then where nobody watches."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

SAY_SECONDS = 5.0
"""Between two lines where there is no terminal to draw a bar on."""

Heard = Callable[[int, int], None]
"""Hears (done, total)."""


@contextmanager
def show_progress(console: Console, what: str) -> Iterator[Heard]:
    """`what` is counted, in a few words that begin with their unit; the bar is gone when it is over."""
    if not console.is_terminal:
        yield Lines(console, what.split(" ")[0])
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@dataclass
class Lines:
    """Says how far it came, at most every SAY_SECONDS."""

    console: Console
    unit: str
    clock: Callable[[], float] = time.monotonic
    said_at: float = 0.0

    def __post_init__(self) -> None:
        self.said_at = self.clock()

    def __call__(self, done: int, total: int) -> None:
        if (now := self.clock()) - self.said_at >= SAY_SECONDS:
            self.console.print(f"{done:,} of {total:,} {self.unit}")
            self.said_at = now
