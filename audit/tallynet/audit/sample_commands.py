"""`tallynet audit sample`: replay what a block drew, and state a bound. `tallynet audit report`: check somebody's."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import trio
import typer
from rich.text import Text

from tallynet.audit.arguments import AddressArgument, PeerOption, read_address
from tallynet.audit.connection import find_peer, open_chain, open_world
from tallynet.audit.progress import show_progress
from tallynet.audit.replay_commands import ContextOption, DeviceOption, DtypeOption, ModelOption, ThresholdsOption
from tallynet.console.folders import config_folder
from tallynet.console.network_file import NetworkFile, read_network
from tallynet.console.terminal import (
    DONE,
    FAILED,
    PENDING,
    DebugOption,
    JsonOption,
    NetworkOption,
    Terminal,
    command,
)
from tallynet.network.log_reader import LogReader
from tallynet.network.transport import PeerAddress
from tallynet.protocol.keys import Key
from tallynet.protocol.keystore import open_keystore
from tallynet.protocol.units import Address, prefixed

if TYPE_CHECKING:
    from tallynet.audit.replay import Bench
    from tallynet.audit.sample import Wish
    from tallynet.audit.sample_file import SignedReport

RATE = 0.05
"""The sample is, by default, large enough to show that less than so many runs are bad."""

ConfidenceOption = Annotated[float, typer.Option("--confidence", help="Of the statement, in percent.")]
RunsOption = Annotated[
    int | None,
    typer.Option("-n", "--runs", help="Runs to replay. Default: enough to show 5 % at most.", show_default=False),
]
SizeOption = Annotated[
    int | None,
    typer.Option("--size", help="Sample the log as anchored with so many entries. Default: the newest.", min=1,
                 show_default=False),
]  # fmt: skip
ReportOption = Annotated[
    Path | None, typer.Option("--report", help="Write the signed report to this file.", show_default=False)
]
PageOption = Annotated[
    Path | None, typer.Option("--html", help="Write the report as a page for people to this file.", show_default=False)
]
ReportArgument = Annotated[
    Path, typer.Argument(help="The file that `audit sample --report` wrote.", show_default=False)
]
AuditorOption = Annotated[
    Path | None,
    typer.Option(
        "--keystore", help="The auditor's key. Default: one of your own, made on first use.", show_default=False
    ),
]


def sample(
    address: AddressArgument,
    model: ModelOption,
    confidence: ConfidenceOption = 95.0,
    runs: RunsOption = None,
    size: SizeOption = None,
    report: ReportOption = None,
    html: PageOption = None,
    peer: PeerOption = "",
    keystore: AuditorOption = None,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    thresholds: ThresholdsOption = None,
    context_length: ContextOption = None,
    network: NetworkOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Replay runs of a node that were drawn after it anchored them, and say how many may be bad.

    The runs are drawn by a block of the chain: anybody draws the same. Only runs whose clients consented are opened,
    sealed to the auditor. Exits 0 when none of them is bad, 1 when some are, 2 on wrong usage, 3 when too few could be
    judged or some are suspect.

    Example: tallynet audit sample 0x1563915e194d8cfba1943570603f7606a3115508 --model DIR --confidence 95
    """
    with command(as_json=as_json, debug=debug) as terminal:
        known, node = read_network(network), read_address(address)
        given = PeerAddress.parse(peer) if peer else None
        with terminal.notes.status("Loading…"):
            from tallynet.audit.replay import Bench, Terms
            from tallynet.audit.sample import Wish
            from tallynet.audit.sample_file import write_report
            from tallynet.audit.tails import sample_size
            from tallynet.audit.thresholds import read_thresholds

            wish = Wish(round(10_000 * confidence), 1 if runs is None else runs)
            if runs is None:
                wish = Wish(wish.confidence_millionths, sample_size(RATE, confidence / 100))
            bench = Bench(model, read_thresholds(thresholds), Terms(device, dtype, True, context_length))
            key = _auditor(keystore)
        signed = trio.run(_sample, known, node, given, size, bench, wish, key, terminal)
        if report is not None:
            write_report(report, signed)
        _tell(terminal, signed, html)


def check_report(
    file: ReportArgument,
    html: PageOption = None,
    network: NetworkOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Check a sampling audit of somebody else: his signature, his numbers, and that the chain drew these runs.

    What came of each run is the auditor's word. Exits 0 when it holds and states a bound, 1 when it does not hold or
    bad runs were found, 2 on wrong usage, 3 when it says that too little is known.

    Example: tallynet audit report sample.json
    """
    with command(as_json=as_json, debug=debug) as terminal:
        from tallynet.audit.sample_check import check_statement
        from tallynet.audit.sample_file import read_report

        known, signed = read_network(network), read_report(file)
        check_statement(signed.report)
        trio.run(_check, known, signed)
        _tell(terminal, signed, html)


def add_sample_commands(app: typer.Typer) -> None:
    """Make the commands of this module part of `tallynet audit`."""
    app.command("sample")(sample)
    app.command("report")(check_report)


def _auditor(keystore: Path | None) -> Key:
    return open_keystore(keystore or config_folder() / "auditor.key", os.environ.get("TALLYNET_PASSWORD", ""))


async def _sample(
    network: NetworkFile,
    node: Address,
    given: PeerAddress | None,
    size: int | None,
    bench: "Bench",
    wish: "Wish",
    key: Key,
    terminal: Terminal,
) -> "SignedReport":
    from tallynet.audit.opened_run import Asking
    from tallynet.audit.sample import Sample
    from tallynet.audit.sample_draw import find_drawn
    from tallynet.audit.sample_file import sign_report

    async with open_world(network) as (ledger, transport):
        drawn = await find_drawn(ledger, node, size)
        peer = given or await find_peer(transport, ledger, network, node)
        asking = Asking(LogReader(transport, peer, ledger.domain), ledger, drawn, key)
        with show_progress(terminal.notes, f"runs of {prefixed(node)[:10]}…") as heard:
            return sign_report(await Sample(asking, bench, wish).take(heard, _pass_over), key)


async def _check(network: NetworkFile, signed: "SignedReport") -> None:
    from tallynet.audit.sample_check import check_draw

    async with open_chain(network) as chain:
        await check_draw(signed.report, chain.ledger)


def _tell(terminal: Terminal, signed: "SignedReport", html: Path | None) -> None:
    from tallynet.audit.sample_page import sample_page
    from tallynet.audit.sample_report import describe_sample, print_sample
    from tallynet.audit.sample_statement import Standing, standing
    from tallynet.console.page import write_page

    if html is not None:
        write_page(sample_page(signed), html)
    print_sample(terminal.out, signed.report)
    terminal.out.print(Text(f"Signed: digest {prefixed(signed.report.digest)}"), soft_wrap=True)
    terminal.result(describe_sample(signed))
    codes = {Standing.GOOD: DONE, Standing.OPEN: PENDING, Standing.BAD: FAILED}
    raise typer.Exit(codes[standing(signed.report)])


def _pass_over(said: str) -> None:
    """The bar counts runs; what a replay says on its way is for those who wait for a single one."""
