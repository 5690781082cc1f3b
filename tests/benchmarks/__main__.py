"""`python -m tests.benchmarks`: every figure beside its baseline, measured in one run.

Ratios are medians over alternating rounds. Exit code 0 also when an aim is missed: the table says so.
"""

import os
import tempfile
from pathlib import Path
from typing import Annotated

import trio
import typer

from tallynet.console.terminal import DebugOption, JsonOption, command
from tallynet.devnet.bench.proofs import measure_proofs
from tallynet.devnet.bench.receipts import AT_ONCE, measure_receipts
from tallynet.devnet.bench.report import Row, as_json, machine, table
from tallynet.devnet.bench.stage import memory_stage, process_stage
from tallynet.devnet.bench.throughput import measure_node
from tests.benchmarks.gas import measure_gas
from tests.benchmarks.report import KEYS

ROUNDS = 9
"""Single ratios went from 0.84 to 1.06 on one nearly idle machine: few rounds say little."""
THREADS = "1"
"""Torch threads of the bare engine and of the node's. Left to itself each tries out how many pay when it is loaded, and
the two may come to different answers on one machine: the ratio would then compare these."""


async def measure(folder: Path, model: str, *, quick: bool) -> list[Row]:
    """All rows, in the order of KEYS. `quick` runs everything once, small, in this process and with FakeEngine."""
    rounds = 1 if quick else ROUNDS
    stage = memory_stage(folder / "net", os.getpid()) if quick else process_stage(folder / "net", model)
    async with stage as ready:
        rows = await measure_node(ready, rounds)
    rows.append(await measure_receipts(folder / "log", rounds, AT_ONCE if quick else 32 * AT_ONCE))
    rows += measure_proofs(rounds, 100 if quick else 50_000)
    rows += await measure_gas()
    return sorted(rows, key=lambda row: KEYS.index(row.key))


def main(
    model: Annotated[str, typer.Option(help="Model directory or hub id. Default: the tiny model.")] = "",
    quick: Annotated[bool, typer.Option("--quick", help="Only see that it works: a fake model, no processes.")] = False,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Measure everything, about three minutes.

    Example: python -m tests.benchmarks --json
    """
    with command(as_json=json, debug=debug) as terminal, tempfile.TemporaryDirectory() as folder:
        before = machine()
        os.environ["OMP_NUM_THREADS"] = THREADS  # for the processes that follow
        terminal.notes.print("Measuring, about three minutes; other work on this machine shows in the figures.")

        async def run() -> list[Row]:
            return await measure(Path(folder), model, quick=quick)

        rows = trio.run(run)
        terminal.out.print(table(rows))
        terminal.out.print(
            f"\nMedians of alternating rounds, {THREADS} torch thread each; {before['cores']} cores for node, client,"
            f" chain together; load {before['load']} before, {machine()['load']} after."
        )
        if quick:
            terminal.out.print("A quick run: a fake model in one process. Its figures mean nothing.")
        terminal.result(as_json(rows, before))


if __name__ == "__main__":
    typer.run(main)
