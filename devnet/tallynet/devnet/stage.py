"""How the demonstration looks on a terminal of 80 columns."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.padding import Padding
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

WIDTH = 80
LABEL = 11


class Stage:
    """Prints the six steps; every value comes from the run."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._width = min(WIDTH, console.width)

    def title(self, words: str) -> None:
        self._console.print(Panel(Text(words, justify="center"), width=self._width, style="bold"))

    def step(self, number: int, name: str, about: str) -> None:
        """The heading of a step, and in a sentence or two what happens in it."""
        self._console.print()
        self._console.print(Rule(Text(f" {number}  {name} ", style="bold cyan"), align="left"), width=self._width)
        self._console.print(Padding(Text(about, style="dim"), (0, 0, 0, 2)), width=self._width)

    def fact(self, label: str, value: str, style: str = "") -> None:
        self._console.print(_labelled(label, Text(value, style=style)), width=self._width)

    @contextmanager
    def streaming(self, label: str) -> Iterator[Callable[[str], None]]:
        """Text that arrives in pieces, after a label; yields what shows a piece."""
        self._console.print(Text(f"  {label:<{LABEL}}", style="bold"), end="")
        yield _Paragraph(self._console, LABEL + 2, self._width).show
        self._console.print()

    @contextmanager
    def waiting(self, words: str) -> Iterator[None]:
        """Something to look at while nothing else happens."""
        with self._console.status(words):
            yield

    def table(self, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """A column of numbers has a heading that ends in ` #`."""
        table = Table(box=None, pad_edge=False, header_style="dim")
        for heading in headings:
            number = heading.endswith("#")
            table.add_column(heading.removesuffix(" #"), justify="right" if number else "left", overflow="fold")
        for row in rows:
            table.add_row(*row)
        self._console.print(Padding(table, (0, 0, 0, 2)), width=self._width)

    def verdict(self, words: str, *, good: bool) -> None:
        colour = "green" if good else "red"
        self._console.print()
        self._console.print(Panel(Text(words), width=self._width, border_style=colour))


class _Paragraph:
    """Breaks lines between words, however the pieces fall."""

    def __init__(self, console: Console, indent: int, width: int) -> None:
        self._console = console
        self._indent = self._column = indent
        self._width = width

    def show(self, piece: str) -> None:
        for part in re.findall(r"\s+|\S+", piece):
            if "\n" in part or self._column + len(part) > self._width:
                self._console.print("\n" + " " * self._indent, end="")
                self._column = self._indent
                part = part.strip()
            self._console.print(Text(part, style="green"), end="", soft_wrap=True)
            self._column += len(part)


def _labelled(label: str, value: Text) -> Table:
    grid = Table.grid(padding=0)
    grid.add_column(width=LABEL + 2)
    grid.add_column(overflow="fold")
    grid.add_row(Text(f"  {label}", style="bold"), value)
    return grid
