"""`tallynet audit`: check a bundle, or a node's whole log, without anybody's goodwill."""

from pathlib import Path
from typing import Annotated

import trio
import typer

from tallynet.audit.bundle_file import read_file, replace_file
from tallynet.audit.connection import open_chain
from tallynet.audit.fault_commands import add_fault_commands
from tallynet.audit.mine_commands import add_mine_commands
from tallynet.audit.node_commands import add_node_commands
from tallynet.audit.report import (
    describe_verification,
    print_check,
    print_verification,
)
from tallynet.audit.verify import Say, Verdict, Verification, verify_offline, verify_online
from tallynet.audit.watch_commands import add_watch_commands
from tallynet.console.network_file import NetworkFile, default_path, read_network
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
from tallynet.protocol.bundle_checks import CheckResult

audit_app = typer.Typer(name="audit", help="Check answers and nodes, trusting only the chain.", no_args_is_help=True)

EXIT_CODES = {Verdict.OK: DONE, Verdict.FAILED: FAILED, Verdict.PENDING: PENDING}

OfflineOption = Annotated[bool, typer.Option("--offline", help="Use nothing but the file.")]
KeepOption = Annotated[bool, typer.Option("--no-upgrade", help="Leave the file as it is.")]


@audit_app.command("verify")
def verify_command(
    file: Annotated[Path, typer.Argument(help="The .tally file.", show_default=False)],
    offline: OfflineOption = False,
    no_upgrade: KeepOption = False,
    network: NetworkOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Check everything that a bundle claims, and say what remains unproven.

    A run that was not anchored when the file was saved and is by now is
    completed from the chain and the node's log, and the file with it.

    Exits 0 when every check made holds, 1 when one fails, 2 when the file
    cannot be read, 3 when nothing is wrong and the run is not anchored yet.

    Example: tallynet audit verify answer.tally --network D/network.json
    """
    with command(as_json=as_json, debug=debug) as terminal:
        data = read_file(file)
        known = _network(network, offline)
        verification = _verify(data, known, offline, terminal)
        saved, remark = (False, "") if no_upgrade else _save(file, verification)
        trust = _trust(known, network, offline)
        print_verification(terminal.out, verification, trust, remark)
        terminal.result(describe_verification(verification, trust, saved))
        raise typer.Exit(EXIT_CODES[verification.verdict])


def _network(path: Path | None, offline: bool) -> NetworkFile | None:
    """The network to compare with; offline it is one's own choice to have one."""
    if offline and path is None and not default_path().exists():
        return None
    return read_network(path)


def _verify(data: bytes, network: NetworkFile | None, offline: bool, terminal: Terminal) -> Verification:
    def say(result: CheckResult) -> None:
        print_check(terminal.out, result)

    if network is None or offline:
        return verify_offline(data, network.domain if network else None, say)
    return trio.run(_verify_online, data, network, say)


async def _verify_online(data: bytes, network: NetworkFile, say: Say) -> Verification:
    async with open_chain(network) as chain:
        return await verify_online(data, chain, say)


def _save(file: Path, verification: Verification) -> tuple[bool, str]:
    """Keep what was found out about the anchor, once all of it holds; says what was done."""
    if verification.verdict is not Verdict.OK or not verification.completed or verification.bundle is None:
        return False, ""
    try:
        replace_file(file, verification.bundle)
    except OSError as error:
        return False, f"The anchor was found and could not be saved in {file.name}: {error.strerror}."
    return True, f"The anchor was found and saved in {file.name}: from now on it verifies offline too."


def _trust(network: NetworkFile | None, path: Path | None, offline: bool) -> str:
    """Whose word was taken."""
    if network is None:
        return "nobody's word but the file's own on chain, contract and anchor"
    contract = f"contract {network.contract.lower()} on chain {network.chain_id}"
    named = f"{contract}, as {(path or default_path()).name} names it"
    return f"{named}; the anchor is the file's word" if offline else f"{named}, asked through {network.rpc_url}"


add_node_commands(audit_app)
add_fault_commands(audit_app)
add_mine_commands(audit_app)
add_watch_commands(audit_app)
