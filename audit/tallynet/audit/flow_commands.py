"""`tallynet audit flow`: every check of a flow file, step by step, and its anchors put in once there are any."""

from pathlib import Path
from typing import Annotated

import trio
import typer

from tallynet.audit.connection import open_chain
from tallynet.audit.flow_audit import FlowVerification, Tell, audit_flow_offline, audit_flow_online
from tallynet.audit.flow_report import describe_flow, print_flow, print_step
from tallynet.audit.inspection import EXIT_CODES, OfflineOption, known_network, trust_in
from tallynet.audit.verdict import Verdict
from tallynet.console.network_file import NetworkFile
from tallynet.console.terminal import DebugOption, JsonOption, NetworkOption, command
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.flow_checks import CheckedResult
from tallynet.protocol.flow_file import MAX_FLOW_BYTES, write_flow
from tallynet.protocol.whole_file import mode_of, read_whole, write_whole

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="The .flow.tally file.", show_default=False)]
KeepOption = Annotated[bool, typer.Option("--no-upgrade", help="Leave the file as it is.")]


def flow_command(
    file: FileArgument,
    offline: OfflineOption = False,
    no_upgrade: KeepOption = False,
    network: NetworkOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Prove a whole flow: every answer, what it builds on, every prompt and decision.

    Runs that were not anchored when the file was saved and are by now are
    completed from the chain and their nodes' logs, and the file with them.

    Exits 0 when every check made holds, 1 when one fails, 2 when the file
    cannot be read, 3 when nothing is wrong and a run is not anchored yet.

    Example: tallynet audit flow capitals.flow.tally --offline
    """
    with command(as_json=as_json, debug=debug) as terminal:
        data = read_whole(file, MAX_FLOW_BYTES, "flow file")
        known = known_network(network, optional=offline)

        def tell(step: CheckedResult) -> None:
            print_step(terminal.out, step)

        if known is None or offline:
            found = audit_flow_offline(data, known.domain if known else None, tell)
        else:
            found = trio.run(_online, data, known, tell)
        saved, remark = (False, "") if no_upgrade else _save(found, file)
        trust = trust_in(known, network, offline)
        print_flow(terminal.out, found, trust, remark)
        terminal.result(describe_flow(found, trust, saved))
        raise typer.Exit(EXIT_CODES[found.verdict])


def add_flow_commands(app: typer.Typer) -> None:
    """Make the commands of this module part of `tallynet audit`."""
    app.command("flow")(flow_command)


async def _online(data: bytes, network: NetworkFile, tell: Tell) -> FlowVerification:
    async with open_chain(network) as chain:
        return await audit_flow_online(data, chain, tell)


def _save(found: FlowVerification, file: Path) -> tuple[bool, str]:
    """Keep the anchors that were found, as far as nothing is wrong; says what was done."""
    if found.completed is None or found.verdict is Verdict.FAILED:
        return False, ""
    try:
        write_whole(file, write_flow(found.completed), "flow file", mode_of(file, new=0o600))
    except Misconfigured as error:
        return False, f"Anchors were found and could not be saved: {error.message}"
    return True, f"Anchors were found and saved in {file.name}."
