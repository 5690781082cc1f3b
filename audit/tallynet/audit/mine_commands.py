"""`tallynet audit mine`: one's own receipts against the anchored logs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import trio
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tallynet.audit.arguments import EvidenceOption, evidence_folder
from tallynet.audit.connection import open_chain
from tallynet.audit.evidence import describe_fault
from tallynet.audit.evidence_file import save_fault
from tallynet.audit.own_receipts import BROKEN, Collection, Kept, Standing, check_receipts, read_receipts, worst
from tallynet.console.folders import receipts_folder
from tallynet.console.network_file import NetworkFile, read_network
from tallynet.console.terminal import DONE, FAILED, PENDING, DebugOption, JsonOption, NetworkOption, command
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.units import prefixed, printable, short

COLOURS = {Standing.ANCHORED: "green", Standing.PENDING: "yellow", Standing.UNPROVEN: "yellow"}

ReceiptsOption = Annotated[
    Path | None,
    typer.Option(
        "--receipts", help="Folder of .tally files. Default: the receipts kept by the client.", show_default=False
    ),
]


def mine_command(
    receipts: ReceiptsOption = None,
    evidence: EvidenceOption = None,
    network: NetworkOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Look up the receipts of all my runs in the anchored logs.

    Exits 0 when each is anchored as promised, 1 when a node broke its word or
    does not show an entry, 3 when some are not anchored yet and their time is
    not over.

    Example: tallynet audit mine
    """
    with command(as_json=as_json, debug=debug) as terminal:
        known = read_network(network)
        collection = read_receipts(own_receipts(receipts), known.domain)
        found = trio.run(_check, known, collection)
        place = evidence_folder(evidence) if any(kept.fault for kept in found) else None
        written = [str(save_fault(place, kept.fault, known.domain)) if kept.fault and place else "" for kept in found]
        _print(terminal.out, collection, found, written)
        terminal.result(_describe(collection, found, written))
        raise typer.Exit(_exit_code(found))


def add_mine_commands(app: typer.Typer) -> None:
    """Make the command of this module part of `tallynet audit`."""
    app.command("mine")(mine_command)


def own_receipts(given: Path | None) -> Path:
    """The folder of receipts. Raises `Misconfigured` for one that is none."""
    if given is not None and not given.is_dir():
        raise Misconfigured(f"{given} is no folder.", remedy="Name the folder that has your .tally files.")
    return given or receipts_folder()


async def _check(network: NetworkFile, collection: Collection) -> list[Kept]:
    if not collection.bundles:
        return []
    async with open_chain(network) as chain:
        return await check_receipts(collection.bundles, chain)


def _exit_code(found: Sequence[Kept]) -> int:
    standing = worst(found)
    if standing is Standing.ANCHORED:
        return DONE
    return PENDING if standing is Standing.PENDING else FAILED


def _print(out: Console, collection: Collection, found: Sequence[Kept], written: Sequence[str]) -> None:
    if found:
        out.print(_table(found))
    total = {standing: sum(kept.standing is standing for kept in found) for standing in Standing}
    counts = ", ".join(f"{count} {standing}" for standing, count in total.items() if count)
    out.print(Text(f"{len(found)} receipts" + (f": {counts}." if counts else ".")))
    if collection.elsewhere:
        out.print(Text(f"{collection.elsewhere} more are of other networks."))
    for name in collection.unreadable:
        out.print(Text(f"No bundle, passed over: {printable(name)}"))
    for kept, path in zip(found, written, strict=True):
        if kept.fault is not None:
            out.print(Text(f"{describe_fault(kept.fault)}\n  tallynet audit slash {path}"), soft_wrap=True)


def _table(found: Sequence[Kept]) -> Table:
    drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("job", "node", "entry", "", ""):
        drawn.add_column(heading, justify="right" if heading == "entry" else "left")
    for kept in found:
        receipt = kept.bundle.receipt.receipt
        colour = COLOURS.get(kept.standing, "bold red")
        names = short(receipt.job), short(kept.bundle.node), f"{receipt.index:,}"
        drawn.add_row(*names, Text(kept.standing, style=colour), Text(printable(kept.detail, 300)))
    return drawn


def _describe(collection: Collection, found: Sequence[Kept], written: Sequence[str]) -> dict[str, object]:
    return {
        "worst": worst(found),
        "broken": sum(kept.standing in BROKEN for kept in found),
        "receipts": [
            {
                "job": prefixed(kept.bundle.receipt.receipt.job),
                "node": prefixed(kept.bundle.node),
                "index": kept.bundle.receipt.receipt.index,
                "anchor_by": kept.bundle.receipt.receipt.anchor_by,
                "standing": kept.standing,
                "detail": kept.detail,
                "evidence": path or None,
            }
            for kept, path in zip(found, written, strict=True)
        ],
        "elsewhere": collection.elsewhere,
        "unreadable": list(collection.unreadable),
    }
