"""`tallynet log`: look after the log of a node, on the disk where it lies."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tallynet.console.terminal import FAILED, DebugOption, JsonOption, Terminal, command

if TYPE_CHECKING:
    from tallynet.node.fsck import LogReport, Progress

log_app = typer.Typer(help="Check a node's log on the disk.", no_args_is_help=True, rich_markup_mode="rich")

FolderArgument = Annotated[
    Path, typer.Argument(metavar="DIR", help="The node's data folder, with log.sqlite in it.", show_default=False)
]


@log_app.command()
def fsck(
    folder: FolderArgument,
    deadlines: Annotated[
        bool, typer.Option("--deadlines", help="Check as well that no promise is earlier than the one before.")
    ] = False,
    no_signatures: Annotated[
        bool, typer.Option("--no-signatures", help="Leave out the clients' signatures, which take longest.")
    ] = False,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Re-derive the whole log from its raw entries. Writes nothing; the node may run.

    Exits 0 when the log is sound, 1 when something is wrong, 2 when there is no log.

    Example: tallynet log fsck my-node/data

    Example: tallynet log fsck my-node/data --deadlines --json
    """
    with command(as_json=as_json, debug=debug) as terminal:
        from tallynet.node.fsck import check_log

        with _progress(terminal) as heard:
            report = check_log(folder, signatures=not no_signatures, deadlines=deadlines, progress=heard)
        _print(report, terminal)
        terminal.result(_describe(report))
        if not report.sound:
            raise typer.Exit(FAILED)


@log_app.command()
def adopt(
    folder: FolderArgument,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask: no node runs on any copy, and none is newer.")
    ] = False,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Use a log that was moved to another disk or restored: a node refuses copies until told.

    A node that signs on an old copy, or beside another, contradicts itself and loses its
    stake. Check first that the original is lost for ever.

    Example: tallynet log adopt my-node/data
    """
    with command(as_json=as_json, debug=debug) as terminal:
        from tallynet.node.log_file import adopt_log, existing_log

        path = existing_log(folder)
        terminal.notes.print("Only the newest copy may be used, and only by one node, from now on.")
        if not yes:
            typer.confirm("Is every other copy out of use, and none of them newer?", abort=True, err=True)
        adopt_log(folder)
        terminal.out.print(f"The log in {path} is in use from now on.", soft_wrap=True)
        terminal.result({"adopted": str(path)})


def _print(report: "LogReport", terminal: Terminal) -> None:
    out = terminal.out
    out.print(f"{report.entries} entries of {report.identity or 'nobody'}", soft_wrap=True, markup=False)
    out.print(f"root {report.root.hex()}", soft_wrap=True, markup=False)
    for finding in report.findings:
        out.print(f"({finding.check}) {finding.message}", style="red", soft_wrap=True, markup=False)
    if report.found > len(report.findings):
        out.print(f"and {report.found - len(report.findings)} more")
    out.print(f"{'Sound' if report.sound else 'NOT sound'}, checked in {report.seconds:.1f} s.")


def _describe(report: "LogReport") -> dict[str, object]:
    return {
        "log": str(report.path),
        "identity": report.identity,
        "sound": report.sound,
        "entries": report.entries,
        "root": report.root.hex(),
        "signatures": report.signatures,
        "answers": report.answers,
        "found": report.found,
        "findings": [
            {"check": finding.check, "entry": finding.entry, "message": finding.message} for finding in report.findings
        ],
        "seconds": round(report.seconds, 3),
    }


@contextmanager
def _progress(terminal: Terminal) -> Iterator["Progress"]:
    """Live on a terminal, silent elsewhere."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("entries"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=terminal.notes, transient=True) as bar:
        task = bar.add_task("entries", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
