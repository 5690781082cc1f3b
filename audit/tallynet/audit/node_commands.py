"""`tallynet audit node`: a node's whole log, with live progress, and from where it was left."""

from pathlib import Path
from typing import Annotated

import trio
import typer
from rich.text import Text

from tallynet.audit.arguments import (
    AddressArgument,
    EvidenceOption,
    PeerOption,
    evidence_folder,
    read_address,
    state_file,
)
from tallynet.audit.audit_state import AuditState, read_state, write_state
from tallynet.audit.connection import find_peer, open_world
from tallynet.audit.evidence_file import save_fault
from tallynet.audit.node_audit import NodeAudit, NodeVerdict, audit_node
from tallynet.audit.node_report import describe_audit, print_audit
from tallynet.audit.progress import show_progress
from tallynet.console.moments import moment
from tallynet.console.network_file import NetworkFile, read_network
from tallynet.console.terminal import DONE, FAILED, DebugOption, JsonOption, NetworkOption, Terminal, command
from tallynet.network.transport import PeerAddress
from tallynet.protocol.units import Address, prefixed

StateOption = Annotated[
    Path | None,
    typer.Option(
        "--state",
        help="Go on from the audit kept here, and keep this one. Default: only an interrupted audit is kept.",
        show_default=False,
    ),
]


def node_command(
    address: AddressArgument,
    peer: PeerOption = "",
    state: StateOption = None,
    evidence: EvidenceOption = None,
    network: NetworkOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Re-read a node's whole log from entry 0 and compare it with the chain.

    An audit that is interrupted goes on where it stopped. Exits 0 when
    everything holds, 1 when something does not or the node cannot be reached,
    2 on wrong usage.

    Example: tallynet audit node 0x1563915e194d8cfba1943570603f7606a3115508
    """
    with command(as_json=as_json, debug=debug) as terminal:
        known, node = read_network(network), read_address(address)
        given = PeerAddress.parse(peer) if peer else None
        place = state or state_file(known.domain, f"{prefixed(node)}.audit")
        begun = read_state(place)
        if begun is not None:
            terminal.notes.print(f"Going on from the audit of {moment(begun.at)}, after {begun.size:,} entries.")
        audit = trio.run(_audit, known, node, given, begun, place, terminal)
        if state is None:  # it was finished: the next one begins at entry 0 again
            place.unlink(missing_ok=True)
        written = save_fault(evidence_folder(evidence), audit.fault, known.domain) if audit.fault else None
        print_audit(terminal.out, audit)
        if written is not None:
            terminal.out.print(Text(f"Evidence written: {written}\nThen `tallynet audit slash`."), soft_wrap=True)
        terminal.result({**describe_audit(audit), "evidence": str(written) if written else None})
        raise typer.Exit(DONE if audit.verdict is NodeVerdict.PASS else FAILED)


def add_node_commands(app: typer.Typer) -> None:
    """Make the command of this module part of `tallynet audit`."""
    app.command("node")(node_command)


async def _audit(
    network: NetworkFile,
    node: Address,
    given: PeerAddress | None,
    begun: AuditState | None,
    place: Path,
    terminal: Terminal,
) -> NodeAudit:
    async with open_world(network) as (ledger, transport):
        peer = given or await find_peer(transport, ledger, network, node)
        with show_progress(terminal.notes, f"entries of {prefixed(node)[:10]}…") as heard:
            return await audit_node(
                transport,
                ledger,
                node,
                peer,
                progress=heard,
                begun=begun,
                keep=lambda state: write_state(place, state),
            )
