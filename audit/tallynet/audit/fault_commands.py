"""`tallynet audit slash`, `challenge`, `finalize`, `diff`: what to do about a node that broke its word."""

from pathlib import Path
from typing import Annotated

import trio
import typer

from tallynet.audit.arguments import AddressArgument, KeystoreOption, SendOption, read_address, sender
from tallynet.audit.bundle_file import read_file
from tallynet.audit.challenging import (
    Asking,
    Closing,
    describe_asking,
    describe_closing,
    send_challenge,
    send_finalize,
    try_challenge,
    try_finalize,
)
from tallynet.audit.connection import open_chain
from tallynet.audit.contradictions import compare_bundles
from tallynet.audit.evidence_file import check_domain, evidence_of, read_evidence, write_evidence
from tallynet.audit.fault_report import (
    describe_comparison,
    print_asking,
    print_closing,
    print_comparison,
    print_trial,
)
from tallynet.audit.slashing import NOBODY, Trial, describe_trial, send_fault, try_fault
from tallynet.console.network_file import NetworkFile, read_network
from tallynet.console.terminal import (
    DONE,
    FAILED,
    PENDING,
    DebugOption,
    JsonOption,
    NetworkOption,
    command,
)
from tallynet.protocol.bundle import read_bundle
from tallynet.protocol.fault import Fault
from tallynet.protocol.keys import Key
from tallynet.protocol.units import Address

IndexArgument = Annotated[int, typer.Argument(min=0, help="Number of the entry, from 0.", show_default=False)]
OutputOption = Annotated[
    Path | None, typer.Option("-o", "--output", help="Evidence file to write.", show_default=False)
]
BundleArgument = Annotated[Path, typer.Argument(help="A .tally file.", show_default=False)]


def slash_command(
    evidence: Annotated[Path, typer.Argument(help="The .evidence file.", show_default=False)],
    send: SendOption = False,
    keystore: KeystoreOption = None,
    network: NetworkOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Say what the contract would do with evidence, and with --send have it done.

    Exits 0 when the contract takes the node's stake, or would; 1 when it
    refuses; 2 on wrong usage.

    Example: tallynet audit slash late.evidence
    """
    with command(as_json=as_json, debug=debug) as terminal:
        found, known, key = read_evidence(evidence), read_network(network), sender(keystore, send)
        check_domain(found, known.domain)
        trial = trio.run(_slash, known, found.fault, key, send)
        print_trial(terminal.out, trial)
        terminal.result(describe_trial(trial))
        raise typer.Exit(FAILED if trial.slashing is None else DONE)


def challenge_command(
    address: AddressArgument,
    index: IndexArgument,
    send: SendOption = False,
    keystore: KeystoreOption = None,
    network: NetworkOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Ask a node in public for an entry that it withholds; with --send, and a bond.

    The node is asked directly first: whoever challenges what is shown to
    everybody loses the bond. Exits 0 when the entry is shown, or the challenge
    is posted or could be; 1 when the contract refuses it; 2 on wrong usage.

    Example: tallynet audit challenge 0x1563915e194d8cfba1943570603f7606a3115508 17
    """
    with command(as_json=as_json, debug=debug) as terminal:
        key = sender(keystore, send)
        asking = trio.run(_challenge, read_network(network), read_address(address), index, key, send)
        print_asking(terminal.out, asking)
        terminal.result(describe_asking(asking))
        raise typer.Exit(FAILED if asking.refusal else DONE)


def finalize_command(
    address: AddressArgument,
    index: IndexArgument,
    send: SendOption = False,
    keystore: KeystoreOption = None,
    network: NetworkOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """End a challenge that was not answered in time: the node loses its stake.

    Exits 0 when it is ended or could be, 1 when none is open at that entry,
    2 on wrong usage, 3 while the node still has time.

    Example: tallynet audit finalize 0x1563915e194d8cfba1943570603f7606a3115508 17
    """
    with command(as_json=as_json, debug=debug) as terminal:
        key = sender(keystore, send)
        closing = trio.run(_finalize, read_network(network), read_address(address), index, key, send)
        print_closing(terminal.out, closing)
        terminal.result(describe_closing(closing))
        if closing.challenge is None:
            raise typer.Exit(FAILED)
        raise typer.Exit(DONE if closing.over else PENDING)


def diff_command(
    one: BundleArgument,
    other: BundleArgument,
    output: OutputOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Hold two bundles of one node against each other.

    Exits 0 when they do not contradict each other, 1 when they do: the node
    then signed two things that cannot both be true, and -o writes the evidence.

    Example: tallynet audit diff a.tally b.tally -o pair.evidence
    """
    with command(as_json=as_json, debug=debug) as terminal:
        found = compare_bundles(read_bundle(read_file(one)), read_bundle(read_file(other)))
        if found.fault is not None and output is not None:
            write_evidence(output, evidence_of(found.fault, found.domain))
        print_comparison(terminal.out, found, output)
        terminal.result(describe_comparison(found, output))
        raise typer.Exit(FAILED if found.fault else DONE)


def add_fault_commands(app: typer.Typer) -> None:
    """Make the commands of this module part of `tallynet audit`."""
    for name, function in (
        ("slash", slash_command),
        ("challenge", challenge_command),
        ("finalize", finalize_command),
        ("diff", diff_command),
    ):
        app.command(name)(function)


async def _slash(network: NetworkFile, fault: Fault, key: Key | None, send: bool) -> Trial:
    async with open_chain(network) as chain:
        trial = await try_fault(fault, chain, key.address if key else NOBODY)
        if send and key is not None and trial.slashing is not None:
            return await send_fault(trial, chain, key)
        return trial


async def _challenge(network: NetworkFile, node: Address, index: int, key: Key | None, send: bool) -> Asking:
    async with open_chain(network) as chain:
        asking = await try_challenge(node, index, chain)
        if send and key is not None and asking.withheld:
            return await send_challenge(asking, chain, key)
        return asking


async def _finalize(network: NetworkFile, node: Address, index: int, key: Key | None, send: bool) -> Closing:
    async with open_chain(network) as chain:
        closing = await try_finalize(node, index, chain)
        if send and key is not None and closing.over:
            return await send_finalize(closing, chain, key)
        return closing
