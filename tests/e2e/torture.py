"""`python -m tests.e2e.torture --kills 1000`: a node under load, killed at random moments, and what came of it.

Exits 1 unless every receipt that a client holds is where it says, no index was given twice, no two signatures of the
node contradict each other, and the log passes `tallynet log fsck` and `tallynet audit node`.
"""

import secrets
import tempfile
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import trio
import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from tallynet.console.terminal import FAILED, DebugOption, JsonOption, command
from tallynet.protocol.units import prefixed
from tests.e2e.commands import run_command
from tests.e2e.outage import Outage, open_outage

PLAIN_EVERY = 25
"""Kills between two lines where there is no terminal."""


@dataclass(frozen=True)
class Ending:
    """What the node's log looks like in the end, to its operator and to an auditor."""

    fsck: str
    audit: str
    entries: int

    @property
    def good(self) -> bool:
        return self.fsck == self.audit == "PASS"


async def torture(folder: Path, kills: int, seed: int, out: Console) -> dict[str, object]:
    """Kill `kills` times; returns the counts."""
    began = time.monotonic()
    async with open_outage(folder, seed) as outage:
        with _shown(outage, kills, began, out):
            for _ in range(kills):
                await outage.strike()
                if not out.is_terminal and len(outage.hits) % PLAIN_EVERY == 0:
                    out.print(_line(outage, began), soft_wrap=True)
            await outage.settle()
        ending = await trio.to_thread.run_sync(_examine, outage)
    return _describe(outage, ending, seed, time.monotonic() - began)


def _examine(outage: Outage) -> Ending:
    """With the node running, as anybody would."""
    network, seat = outage.ground.network_path, outage.ground.seat
    _, audit = run_command("audit", "node", prefixed(outage.crowd.node), network=network)
    code, fsck = run_command("log", "fsck", seat.folder / "data", network=network)
    return Ending("PASS" if code == 0 else str(fsck), str(audit.get("verdict", audit)), outage.watch.tree.size)


def _shown(outage: Outage, kills: int, began: float, out: Console) -> AbstractContextManager[object]:
    """The counts, kept up to date on a terminal."""
    if not out.is_terminal:
        return nullcontext()
    return Live(console=out, get_renderable=lambda: _counts(outage, kills, began), refresh_per_second=2)


def _counts(outage: Outage, kills: int, began: float) -> Table:
    drawn = Table.grid(padding=(0, 2))
    for name, value in _told(outage).items():
        drawn.add_row(name.replace("_", " "), f"{value:,} of {kills:,}" if name == "kills" else f"{value:,}")
    drawn.add_row("seconds", f"{time.monotonic() - began:.0f}")
    return drawn


def _line(outage: Outage, began: float) -> str:
    told = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in _told(outage).items())
    return f"{time.monotonic() - began:6.0f} s  {told}"


def _told(outage: Outage) -> dict[str, int]:
    crowd, wrong = outage.crowd, outage.watch.wrong
    return {
        "kills": len(outage.hits),
        "jobs": crowd.jobs,
        "hit_running": sum(outage.hits),
        "receipts": len(crowd.receipts),
        "recovered": crowd.recovered,
        "signatures": outage.ear.signatures,
        "lost": wrong.lost,
        "double_indices": wrong.double,
        "self_contradictions": wrong.contradictions,
    }


def _describe(outage: Outage, ending: Ending, seed: int, seconds: float) -> dict[str, object]:
    return {
        **_told(outage),
        "entries": ending.entries,
        "fsck": ending.fsck,
        "audit": ending.audit,
        "wrong": outage.watch.wrong.words,
        "good": outage.watch.wrong.nothing and ending.good,
        "seed": seed,
        "seconds": round(seconds, 1),
    }


def main(
    kills: Annotated[int, typer.Option(help="How often the node is killed.", min=1)] = 1000,
    seed: Annotated[int | None, typer.Option(help="Of the moments; by default another every time.")] = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Kill a node under load again and again, and count what that broke. About two seconds a kill.

    Example: python -m tests.e2e.torture --kills 100
    """
    with command(as_json=as_json, debug=debug) as terminal, tempfile.TemporaryDirectory() as folder:
        told = trio.run(torture, Path(folder), kills, secrets.randbits(32) if seed is None else seed, terminal.out)
        for name, value in told.items():
            terminal.out.print(f"{name.replace('_', ' '):<20} {value}", soft_wrap=True)
        terminal.result(told)
        if not told["good"]:
            raise typer.Exit(FAILED)


if __name__ == "__main__":
    typer.run(main)
