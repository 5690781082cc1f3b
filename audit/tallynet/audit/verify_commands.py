"""`tallynet audit verify` and `upgrade`: every check of one bundle, and its anchor put in once there is one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import trio
import typer

from tallynet.audit.bundle_file import write_file
from tallynet.audit.connection import open_chain
from tallynet.audit.evaluation_commands import verify_report
from tallynet.audit.inspection import (
    Inspection,
    OfflineOption,
    Source,
    SourceArgument,
    inspect,
    known_network,
    read_source,
)
from tallynet.audit.report import (
    describe_upgrade,
    describe_verification,
    print_check,
    print_upgrade,
    print_verification,
)
from tallynet.audit.verdict import Verdict
from tallynet.console.network_file import NetworkFile
from tallynet.console.terminal import DebugOption, JsonOption, NetworkOption, command
from tallynet.evaluation.report_file import holds_report
from tallynet.protocol.bundle import Bundle
from tallynet.protocol.bundle_checks import CheckResult
from tallynet.protocol.errors import Misconfigured

if TYPE_CHECKING:
    from tallynet.audit.sample_file import SampleReport
    from tallynet.audit.sampled import Sampled

KeepOption = Annotated[bool, typer.Option("--no-upgrade", help="Leave the file as it is.")]
SampleOption = Annotated[
    Path | None,
    typer.Option("--sample", help="Report of `audit sample` on the run's node.", show_default=False),
]
OutputOption = Annotated[
    Path | None,
    typer.Option("-o", "--output", help="File to write. Default: FILE itself.", show_default=False),
]


def verify_command(
    source: SourceArgument,
    offline: OfflineOption = False,
    no_upgrade: KeepOption = False,
    sample: SampleOption = None,
    network: NetworkOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Check everything that a bundle or a report claims, and say what remains unproven.

    Of the report of an evaluation every number is computed again.

    A run that was not anchored when the file was saved and is by now is
    completed from the chain and the node's log, and the file with it.

    With --sample, what an auditor's sample of the node says of this run counts
    too, once all of the report but its outcomes is checked against the chain.

    Exits 0 when every check made holds, 1 when one fails, 2 when the file
    cannot be read, 3 when nothing is wrong and the run is not anchored yet.

    Example: tallynet audit verify answer.tally --network D/network.json
    """
    with command(as_json=as_json, debug=debug) as terminal:

        def say(result: CheckResult) -> None:
            print_check(terminal.out, result)

        if holds_report(Path(source)):
            known = known_network(network, optional=offline)
            verify_report(Path(source), known, network, offline, no_upgrade, terminal)
        given = read_source(source)
        found = inspect(given, known_network(network, optional=offline), network, offline, say)
        saved, remark = (False, "") if no_upgrade else _save(found)
        sampled = _sampled(found, sample, known_network(network, optional=True), offline)
        print_verification(terminal.out, found.verification, found.trust, remark, sampled)
        terminal.result(describe_verification(found.verification, found.trust, saved, sampled))
        raise typer.Exit(found.exit_code)


def upgrade_command(
    source: SourceArgument,
    output: OutputOption = None,
    network: NetworkOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Put the anchor into the file of a run that was not anchored when it was saved.

    The anchor comes from the chain, the path from the node's log; all checks
    are made, and only then is the file written, whole or not at all.

    Exits 0 when the file has an anchor that holds, 1 when a check fails, 2 on
    wrong usage, 3 when the run is not anchored yet.

    Example: tallynet audit upgrade answer.tally
    """
    with command(as_json=as_json, debug=debug) as terminal:
        given = read_source(source)
        target = _target(given, output)
        found = inspect(given, known_network(network, optional=False), network, False)
        written = _write(found, target)
        print_upgrade(terminal.out, found.verification, target.name, written)
        terminal.result(describe_upgrade(found.verification, str(target), written))
        raise typer.Exit(found.exit_code)


def add_verify_commands(app: typer.Typer) -> None:
    """Make the commands of this module part of `tallynet audit`."""
    app.command("verify")(verify_command)
    app.command("upgrade")(upgrade_command)


def _sampled(found: Inspection, sample: Path | None, network: NetworkFile | None, offline: bool) -> "Sampled | None":
    """What the sample says of the run, once the run itself holds and is anchored."""
    if sample is None:
        return None
    if network is None or offline:
        raise Misconfigured("Whether a block drew a sample is on the chain.", remedy="Leave --offline out.")
    if found.verification.verdict is not Verdict.OK or found.verification.bundle is None:
        return None
    from tallynet.audit.sample_file import read_report

    return trio.run(_look_up, found.verification.bundle, read_report(sample).report, network)


async def _look_up(bundle: Bundle, report: "SampleReport", network: NetworkFile) -> "Sampled":
    from tallynet.audit.sampled import find_sampled

    async with open_chain(network) as chain:
        return await find_sampled(bundle, report, chain.ledger)


def _save(found: Inspection) -> tuple[bool, str]:
    """Keep what was found out about the anchor, once all of it holds; says what was done."""
    verification, name = found.verification, found.source.name
    if verification.verdict is not Verdict.OK or not verification.completed or verification.bundle is None:
        return False, ""
    if found.source.rewritable is None:
        return False, "The anchor was found. A link stays as it is: `tallynet audit upgrade -o F.tally` keeps it."
    try:
        write_file(found.source.rewritable, verification.bundle)
    except Misconfigured as error:
        return False, f"The anchor was found and could not be saved: {error.message}"
    return True, f"The anchor was found and saved in {name}: from now on it verifies offline too."


def _target(source: Source, output: Path | None) -> Path:
    """Where the upgraded bundle goes. Raises `Misconfigured` for a link without a file."""
    target = output or source.rewritable
    if target is None:
        raise Misconfigured("A link cannot be written anew.", remedy="Name a file to write with -o F.tally.")
    return target


def _write(found: Inspection, target: Path) -> bool:
    """Whether the file was written: it was missing, or its bundle had no anchor."""
    verification = found.verification
    if verification.verdict is not Verdict.OK or verification.bundle is None:
        return False
    if not verification.completed and target == found.source.rewritable:
        return False
    write_file(target, verification.bundle)
    return True
