"""How `tallynet node show` shows `/status` on a terminal."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

LABEL = 8


def print_status(console: Console, status: Mapping[str, Any]) -> None:
    """The models as a table, everything else line by line."""
    console.print(_models(status["models"]))
    for name, value in status.items():
        if name != "models":
            console.print(Text.assemble((f"{name:>{LABEL}}", "bold"), f"  {_said(value)}"), soft_wrap=True)


def _models(models: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("MODEL", overflow="fold")
    table.add_column("DOES")
    for heading in ("CONTEXT", "TOKENS/S", "JOBS", "SLOTS", "PLANNED", "RESIDENT"):
        table.add_column(heading, justify="right")
    for model in models:
        memory = model["memory"]
        table.add_row(
            Text(model["name"]), model["task"], f"{model['context_length']:,}", f"{model['tokens_per_second']:,}",
            f"{model['open_jobs']}", f"{model['slots']}", _size(memory["planned_bytes"]),
            _size(memory["resident_bytes"]),
        )  # fmt: skip
    return table


def _said(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name.removesuffix('_bytes')} {_part(name, part)}" for name, part in value.items())
    return str(value)


def _part(name: str, part: Any) -> str:
    return _size(part) if name.endswith("_bytes") else str(part)


def _size(size: int | None) -> str:
    """In megabytes; a dash for what is not known or not there."""
    return f"{size / 1e6:,.0f} MB" if size else "-"
