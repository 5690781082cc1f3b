"""`tallynet audit watch`: nodes from now on, until somebody stops it."""

import logging
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import httpx
import trio
import typer

from tallynet.audit.arguments import EvidenceOption, evidence_folder, read_address, state_file
from tallynet.audit.connection import open_chain
from tallynet.audit.findings import Finding, Webhook, Weight
from tallynet.audit.mine_commands import ReceiptsOption, own_receipts
from tallynet.audit.node_watch import worst
from tallynet.audit.watch import Watch
from tallynet.audit.watch_memory import Memory, read_memory, write_memory
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
from tallynet.protocol.errors import ChainUnreachable, Misconfigured
from tallynet.protocol.keys import Key
from tallynet.protocol.keystore import read_keystore
from tallynet.protocol.units import Address

log = logging.getLogger(__name__)

EVERY_SECONDS = 30.0
EXIT_CODES = {Weight.NOTE: DONE, Weight.WARNING: PENDING, Weight.FAULT: FAILED}

NodesArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[NODE]...", help="Addresses of nodes, 0x….", show_default=False)
]
EveryOption = Annotated[float, typer.Option("--every", min=1, help="Seconds from one look to the next.")]
SlasherOption = Annotated[
    Path | None,
    typer.Option("--keystore", help="Key that slashes; its password is TALLYNET_PASSWORD.", show_default=False),
]
MemoryOption = Annotated[
    Path | None,
    typer.Option("--state", help="What is remembered between runs. Default: in the state folder.", show_default=False),
]


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a watch was told to do."""

    nodes: Sequence[Address]
    evidence: Path
    receipts: Path
    slasher: Key | None
    seconds: float
    once: bool
    webhook: str
    memory: Path


def watch_command(
    nodes: NodesArgument = None,
    everyone: Annotated[bool, typer.Option("--all", help="Watch every registered node.")] = False,
    slash: Annotated[bool, typer.Option("--slash", help="Post what is proven; needs --keystore.")] = False,
    once: Annotated[bool, typer.Option("--once", help="Look once and stop.")] = False,
    every: EveryOption = EVERY_SECONDS,
    webhook: Annotated[str, typer.Option("--webhook", help="URL that gets each finding as JSON.")] = "",
    keystore: SlasherOption = None,
    receipts: ReceiptsOption = None,
    evidence: EvidenceOption = None,
    state: MemoryOption = None,
    network: NetworkOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Follow nodes: new anchors, forks, broken promises, missing data, slashings.

    With --json each finding is one line, and the last line sums up. Ends with
    Ctrl-C, or after --once: with 1 when a node broke its word, 3 when something
    needs a look, 0 otherwise.

    Example: tallynet audit watch --all --webhook https://example.org/hook
    """
    with command(as_json=as_json, debug=debug) as terminal:
        watched = tuple(read_address(text) for text in nodes or ())
        if bool(watched) == everyone:
            raise Misconfigured(
                "Either nodes are named or all are watched.", remedy="Name nodes by their addresses, or say --all."
            )
        known = read_network(network)
        place = state or state_file(known.domain, "watch.json")
        memory, slasher = read_memory(place, known.domain), _slasher(keystore, slash)
        folders = evidence_folder(evidence), own_receipts(receipts)
        plan = _Plan(watched, *folders, slasher, every, once, _url(webhook), place)
        found = trio.run(_watch, known, memory, plan, terminal)
        terminal.result({"event": "end", "findings": len(found), "worst": worst(found)})
        raise typer.Exit(EXIT_CODES[worst(found)])


def add_watch_commands(app: typer.Typer) -> None:
    """Make the command of this module part of `tallynet audit`."""
    app.command("watch")(watch_command)


def _slasher(keystore: Path | None, slash: bool) -> Key | None:
    if slash and keystore is None:
        raise Misconfigured("Nobody is named who slashes.", remedy="Name a key with --keystore FILE.")
    if not slash or keystore is None:
        return None
    return read_keystore(keystore, os.environ.get("TALLYNET_PASSWORD", ""))


def _url(text: str) -> str:
    """Raises `Misconfigured` for a webhook that is no URL of the web."""
    try:
        if text and httpx.URL(text).scheme not in ("http", "https"):
            raise httpx.InvalidURL("it begins neither with http:// nor with https://")
    except httpx.InvalidURL as error:
        raise Misconfigured(f"The webhook is no URL: {error}.", remedy="Write it as https://HOST/PATH.") from error
    return text


async def _watch(network: NetworkFile, memory: Memory, plan: _Plan, terminal: Terminal) -> list[Finding]:
    """Until it is stopped, or once. What was found, all of it told."""
    found: list[Finding] = []
    hook = Webhook(plan.webhook) if plan.webhook else None
    try:
        async with open_chain(network, dialling=True) as chain:
            watch = Watch(chain, memory, plan.nodes, plan.evidence, plan.receipts, plan.slasher)
            async with trio.open_nursery() as nursery:
                if not plan.once:
                    await nursery.start(_stop_on_signal, nursery.cancel_scope)
                await _rounds(watch, plan, terminal, hook, found)
                nursery.cancel_scope.cancel()
    finally:
        if hook is not None:
            with trio.CancelScope(shield=True):
                await hook.aclose()
    return found


async def _rounds(watch: Watch, plan: _Plan, terminal: Terminal, hook: Webhook | None, found: list[Finding]) -> None:
    while True:
        try:
            news = await watch.round()
        except ChainUnreachable as error:
            if plan.once:
                raise
            log.warning("the chain does not answer, tried again in %g s: %s", plan.seconds, error)
            news = []
        found += news
        for finding in news:
            terminal.out.print(finding.line(), soft_wrap=True)
            terminal.result(finding.describe())
        write_memory(plan.memory, watch.memory)
        if hook is not None:
            for finding in news:
                await hook.post(finding)
        if plan.once:
            return
        await trio.sleep(plan.seconds)


async def _stop_on_signal(
    scope: trio.CancelScope, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for _ in signals:
            scope.cancel()
            return
