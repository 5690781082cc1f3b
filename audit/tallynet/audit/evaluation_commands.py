"""Reports of evaluations on the command line: `tallynet audit verify` checks one, `audit evaluate` runs it again."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import trio
import typer

from tallynet.audit.connection import open_chain
from tallynet.audit.inspection import EXIT_CODES, trust_in
from tallynet.audit.progress import show_progress
from tallynet.audit.replay_commands import ContextOption, DeviceOption, DtypeOption, ModelOption, ThresholdsOption
from tallynet.audit.report import print_check
from tallynet.audit.verdict import Say, Verdict
from tallynet.console.network_file import NetworkFile
from tallynet.console.terminal import DebugOption, JsonOption, Terminal, command
from tallynet.protocol.bundle_checks import CheckResult
from tallynet.protocol.errors import Misconfigured

if TYPE_CHECKING:
    from tallynet.audit.evaluation_verify import ReportVerification

RunsOption = Annotated[
    int | None,
    typer.Option("-n", "--runs", min=1, help="Runs to make again. Default: all.", show_default=False),
]


def verify_report(
    file: Path, network: NetworkFile | None, path: Path | None, offline: bool, keep: bool, terminal: Terminal
) -> None:
    """Check a report, against the chain, or offline and without a network with nothing but itself; exits as
    `tallynet audit verify` does. `keep` leaves the file as it is where its anchor was found."""
    from tallynet.audit.evaluation_report import describe_report_verification, print_report_verification
    from tallynet.audit.evaluation_verify import verify_report_offline
    from tallynet.evaluation.report_file import read_bytes

    def say(result: CheckResult) -> None:
        print_check(terminal.out, result)

    data = read_bytes(file)
    if network is None or offline:
        found = verify_report_offline(data, network.domain if network else None, say)
    else:
        with terminal.notes.status("Asking chain and nodes…"):
            found = trio.run(_verify_online, data, network, say)
    saved, remark = (False, "") if keep else _save(file, found)
    trust = trust_in(network, path, offline)
    print_report_verification(terminal.out, found, trust, remark)
    terminal.result(describe_report_verification(found, trust, saved))
    raise typer.Exit(EXIT_CODES[found.verdict])


async def _verify_online(data: bytes, network: NetworkFile, say: Say) -> "ReportVerification":
    from tallynet.audit.evaluation_verify import verify_report_online

    async with open_chain(network) as chain:
        return await verify_report_online(data, chain, say)


def _save(file: Path, found: "ReportVerification") -> tuple[bool, str]:
    """Keep the anchor of the closing run, once all checks hold; says what was done."""
    from tallynet.evaluation.report_file import write_report

    if found.verdict is Verdict.FAILED or not found.completed or found.report is None:
        return False, ""
    try:
        write_report(file, found.report)
    except Misconfigured as error:
        return False, f"The anchor was found and could not be saved: {error.message}"
    return True, f"The anchor was found and saved in {file.name}: from now on the file itself names it."


def evaluate_command(
    file: Annotated[Path, typer.Argument(help="The report of `tallynet evaluate`.", show_default=False)],
    model: ModelOption,
    runs: RunsOption = None,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    thresholds: ThresholdsOption = None,
    context_length: ContextOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Make the runs of an evaluation again, on this machine, and say whether
    the model gave these answers.

    The report's own checks come first, offline. With --runs fewer are made
    again: those that the block of the report's anchor draws, the same for
    everybody.

    Exits 0 when every run follows from the model, 1 when one does not or the
    report does not hold, 2 when it can't be tried, 3 when an honest run would
    seldom look like one of them.

    Example: tallynet audit evaluate a.report.tally --model DIR --runs 20
    """
    with command(as_json=as_json, debug=debug) as terminal:
        with terminal.notes.status("Loading…"):
            from tallynet.audit.evaluation_replay import draw_runs, replay_runs
            from tallynet.audit.evaluation_replay_report import describe_replays, exit_code, print_replays
            from tallynet.audit.replay import Bench, Terms
            from tallynet.audit.thresholds import read_thresholds
            from tallynet.evaluation.report_checks import check_report
            from tallynet.evaluation.report_file import read_report

            report = read_report(file)
            opened = check_report(report, None, lambda _: None)
            drawn = draw_runs(opened, runs)
            bench = Bench(model, read_thresholds(thresholds), Terms(device, dtype, True, context_length))
        with show_progress(terminal.notes, "runs made again") as heard:
            replayed = replay_runs(drawn, len(opened.runs), bench, heard)
        print_replays(terminal.out, replayed)
        terminal.result(describe_replays(replayed))
        raise typer.Exit(exit_code(replayed))


def add_evaluation_commands(app: typer.Typer) -> None:
    """Make the command of this module part of `tallynet audit`."""
    app.command("evaluate")(evaluate_command)
