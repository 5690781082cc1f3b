"""`tallynet audit attest`: write what a sampling audit came to on the chain. `attestations`: what others wrote."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import trio
import typer

from tallynet.audit.arguments import AddressArgument, SendOption, read_address
from tallynet.audit.connection import open_chain
from tallynet.audit.sample_commands import ReportArgument
from tallynet.console.folders import config_folder
from tallynet.console.network_file import NetworkFile, read_network
from tallynet.console.terminal import DebugOption, JsonOption, NetworkOption, command
from tallynet.protocol.keys import Key
from tallynet.protocol.keystore import read_keystore
from tallynet.protocol.units import Address

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tallynet.audit.sample_file import SampleReport
    from tallynet.ledger.ledger import Attestation

AuditorOption = Annotated[
    Path | None,
    typer.Option("--keystore", help="The auditor's key. Default: that of `audit sample`.", show_default=False),
]


def attest_command(
    file: ReportArgument,
    send: SendOption = False,
    keystore: AuditorOption = None,
    network: NetworkOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Write what a sampling audit came to on the chain, as an event; without --send nothing is sent.

    The report is checked first, as `audit report` does. It is sent by its auditor's own key, which pays the gas. Exits
    0 when it is written, was before, or could be; 1 when it does not hold or the contract refuses it; 2 on wrong usage.

    Example: tallynet audit attest sample.json --send
    """
    with command(as_json=as_json, debug=debug) as terminal:
        from tallynet.audit.attest_report import describe_attesting, print_attesting
        from tallynet.audit.sample_check import check_statement
        from tallynet.audit.sample_file import read_report

        known, report = read_network(network), read_report(file).report
        check_statement(report)
        key = _auditor(keystore) if send else None
        found = trio.run(_attest, known, report, key)
        print_attesting(terminal.out, report, found)
        terminal.result(describe_attesting(report, found))


def attestations_command(
    address: AddressArgument,
    network: NetworkOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """List what auditors wrote of a node on the chain, the oldest first.

    Anybody can write anything of anybody: ask the auditor for the report with that digest, and check it with
    `tallynet audit report`.

    Example: tallynet audit attestations 0x1563915e194d8cfba1943570603f7606a3115508
    """
    with command(as_json=as_json, debug=debug) as terminal:
        from tallynet.audit.attest_report import describe_attestation, print_attestations

        found = trio.run(_list, read_network(network), read_address(address))
        print_attestations(terminal.out, found)
        terminal.result({"attestations": [describe_attestation(one) for one in found]})


def add_attest_commands(app: typer.Typer) -> None:
    """Make the commands of this module part of `tallynet audit`."""
    app.command("attest")(attest_command)
    app.command("attestations")(attestations_command)


def _auditor(keystore: Path | None) -> Key:
    return read_keystore(keystore or config_folder() / "auditor.key", os.environ.get("TALLYNET_PASSWORD", ""))


async def _attest(network: NetworkFile, report: "SampleReport", key: Key | None) -> "Attestation | None":
    from tallynet.audit.attesting import attest, find_attestation
    from tallynet.audit.sample_check import check_draw

    async with open_chain(network) as chain:
        await check_draw(report, chain.ledger)
        return await (attest(report, chain.ledger, key) if key else find_attestation(report, chain.ledger))


async def _list(network: NetworkFile, node: Address) -> "Sequence[Attestation]":
    async with open_chain(network) as chain:
        return await chain.ledger.attestations(node)
