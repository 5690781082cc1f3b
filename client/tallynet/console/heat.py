"""Text coloured piece by piece: on a terminal, and as one page of HTML that needs nothing else.

A heat of 0 is left alone, +1 is the warmest and -1 the coldest colour. Colours are orange and blue, which people who
cannot tell red from green can tell apart, always with dark letters; what they mean is said by the legend and, on the
page, by a note on every piece.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.text import Text

from tallynet.console.page import definitions, render_page, safe, shown

WARM = ("#fff2dd", "#ffdfae", "#ffc373", "#fb9a3a", "#e8690b")
COLD = ("#e6f0fb", "#c3dcf5", "#93bfea", "#6aa5e2", "#4187d3")
"""Five steps each, from the palest."""

STEPS = len(WARM)


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of the text, usually a token."""

    text: str
    heat: float
    """-1 … 1; what lies outside counts as the nearest."""
    note: str = ""
    """Shown on the page when somebody points at the piece."""


@dataclass(frozen=True, slots=True)
class HeatMap:
    """A whole coloured text."""

    title: str
    pieces: Sequence[Piece]
    legend: Sequence[Piece]
    """Examples of colours, each with what it means as its text."""
    facts: Sequence[tuple[str, str]] = field(default=())
    """Label and value, shown on the page above the text."""


def colour(heat: float) -> str | None:
    """The background; None where the piece is left alone."""
    strength = min(abs(heat), 1.0)
    step = min(STEPS, int(strength * (STEPS + 1)))
    if not step:
        return None
    return (WARM if heat > 0 else COLD)[step - 1]


def print_heat(out: Console, heat_map: HeatMap) -> None:
    """Legend and text. Where colours cannot be shown the text stands there as it is, with every hot piece in [ ]."""
    coloured = out.color_system is not None and not out.no_color
    text = Text()
    for piece in heat_map.pieces:
        text.append_text(_cell(piece) if coloured else _marked(piece))
    legend = Text("  ").join(_cell(piece) for piece in heat_map.legend)
    out.print(legend if coloured else Text("[ ] marks the warmest pieces.", style="dim"))
    out.print(text)


def heat_page(heat_map: HeatMap) -> str:
    """The text as one page of HTML."""
    legend = " ".join(_span(piece) for piece in heat_map.legend)
    text = "".join(_span(piece) for piece in heat_map.pieces)
    return render_page(
        heat_map.title, f"{definitions(heat_map.facts)}\n<p>{legend}</p>\n<pre>{text}</pre>", style=_STYLE
    )


def _cell(piece: Piece) -> Text:
    background = colour(piece.heat)
    return Text(shown(piece.text), style=f"#1a1a1a on {background}" if background else "")


def _marked(piece: Piece) -> Text:
    return Text(f"[{shown(piece.text)}]" if piece.heat >= STEPS / (STEPS + 1) else shown(piece.text))


def _span(piece: Piece) -> str:
    background = colour(piece.heat)
    style = f' style="background:{background}"' if background else ""
    note = f' title="{safe(piece.note)}"' if piece.note else ""
    return f"<span{style}{note}>{safe(piece.text)}</span>"


_STYLE = """p { font-size: .85rem }
p span { padding: 0 .4em; border-radius: .2em }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font: inherit; line-height: 1.9 }
pre span { border-radius: .15em }
span[style] { color: #1a1a1a }
"""
