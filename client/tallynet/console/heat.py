"""Text coloured piece by piece: on a terminal, and as one page of HTML that needs nothing else.

A heat of 0 is left alone, +1 is the warmest and -1 the coldest colour. Colours are orange and blue, which people who
cannot tell red from green can tell apart, always with dark letters; what they mean is said by the legend and, on the
page, by a note on every piece.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from rich.console import Console
from rich.text import Text

from tallynet.protocol.errors import Misconfigured

WARM = ("#fff2dd", "#ffdfae", "#ffc373", "#fb9a3a", "#e8690b")
COLD = ("#e6f0fb", "#c3dcf5", "#93bfea", "#5d9bdb", "#2d72c4")
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


def write_page(heat_map: HeatMap, path: Path) -> None:
    """One self-contained page. Raises `Misconfigured` when it cannot be written."""
    try:
        path.write_text(render_page(heat_map), encoding="utf-8")
    except OSError as error:
        raise Misconfigured(
            f"The page cannot be written to {path}: {error.strerror or os.strerror(error.errno or 0)}.",
            remedy="Name a file in a folder that exists and that you may write to.",
        ) from error


def render_page(heat_map: HeatMap) -> str:
    """The page's HTML: no script, nothing loaded from anywhere, every foreign word escaped."""
    facts = "".join(f"<dt>{escape(label)}</dt><dd>{escape(value)}</dd>" for label, value in heat_map.facts)
    return _PAGE.format(
        title=escape(heat_map.title),
        facts=facts,
        legend=" ".join(_span(piece) for piece in heat_map.legend),
        text="".join(_span(piece) for piece in heat_map.pieces),
    )


def _cell(piece: Piece) -> Text:
    background = colour(piece.heat)
    return Text(shown(piece.text), style=f"#1a1a1a on {background}" if background else "")


def _marked(piece: Piece) -> Text:
    return Text(f"[{shown(piece.text)}]" if piece.heat >= STEPS / (STEPS + 1) else shown(piece.text))


def shown(text: str) -> str:
    """Foreign text that cannot steer a terminal: of all control characters only line ends and tabs are left."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "\ufffd" for letter in text)


def _span(piece: Piece) -> str:
    background = colour(piece.heat)
    style = f' style="background:{background}"' if background else ""
    note = f' title="{escape(piece.note)}"' if piece.note else ""
    return f"<span{style}{note}>{escape(shown(piece.text))}</span>"


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
body {{ margin: 2rem auto; max-width: 46rem; padding: 0 1rem; font: 16px/1.6 system-ui, sans-serif;
  color: #1a1a1a; background: #fff }}
h1 {{ font-size: 1.2rem }}
dl {{ display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; font-size: .9rem }}
dt {{ color: #666 }}
dd {{ margin: 0; overflow-wrap: anywhere }}
p {{ font-size: .85rem }}
p span {{ padding: 0 .4em; border-radius: .2em }}
pre {{ white-space: pre-wrap; overflow-wrap: anywhere; font: inherit; line-height: 1.9 }}
pre span {{ border-radius: .15em }}
</style>
</head>
<body>
<h1>{title}</h1>
<dl>{facts}</dl>
<p>{legend}</p>
<pre>{text}</pre>
</body>
</html>
"""
