"""One bundle as a command is given it: where it comes from, what it is checked against, whose word is taken."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import trio
import typer

from tallynet.audit.bundle_file import read_file
from tallynet.audit.connection import open_chain
from tallynet.audit.verdict import Say, Verdict
from tallynet.audit.verify import Verification, verify_offline, verify_online
from tallynet.console.network_file import NetworkFile, default_path, read_network
from tallynet.console.terminal import DONE, FAILED, PENDING
from tallynet.evaluation.report_file import holds_report
from tallynet.protocol.bundle import MAGIC, Bundle, parse_bundle
from tallynet.protocol.bundle_checks import verify_bundle
from tallynet.protocol.bundle_link import PREFIX, unwrap
from tallynet.protocol.errors import Misconfigured

SourceArgument = Annotated[
    str, typer.Argument(metavar="FILE", help="The .tally file, or a link that holds it.", show_default=False)
]
OfflineOption = Annotated[bool, typer.Option("--offline", help="Use nothing but the file.")]

EXIT_CODES = {Verdict.OK: DONE, Verdict.FAILED: FAILED, Verdict.PENDING: PENDING}


@dataclass(frozen=True, slots=True)
class Source:
    """What the command line names: a file, or a link with the whole bundle in it."""

    data: bytes
    """A bundle's text, or a link."""
    file: Path | None
    """Where it was read; None for a link on the command line."""

    @property
    def name(self) -> str:
        return self.file.name if self.file else "the link"

    @property
    def rewritable(self) -> Path | None:
        """The file that may be written anew: not one that holds a link."""
        return self.file if self.data.startswith(MAGIC) else None


@dataclass(frozen=True, slots=True)
class Inspection:
    """A source and what the checks found."""

    source: Source
    verification: Verification
    trust: str
    """Whose word was taken."""

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.verification.verdict]


def read_source(named: str) -> Source:
    """Raises `Misconfigured` when it is a file that cannot be read, or holds a report instead of a bundle."""
    if PREFIX in named:
        return Source(named.encode("utf-8", "surrogateescape"), None)
    if holds_report(Path(named)):
        raise Misconfigured(
            f"{named} is the report of an evaluation, not one answer.",
            remedy="`tallynet audit verify` checks it, `tallynet audit evaluate` makes its runs again.",
        )
    return Source(read_file(Path(named)), Path(named))


def inspect(
    source: Source, network: NetworkFile | None, path: Path | None, offline: bool, say: Say | None = None
) -> Inspection:
    """Check the bundle: against the chain, or offline and without a network with nothing but itself.

    `path` is where `network` was read, None for the default place. Raises what `verify_online` raises.
    """
    if network is None or offline:
        found = verify_offline(source.data, network.domain if network else None, say)
    else:
        found = trio.run(_verify_online, source.data, network, say)
    return Inspection(source, found, trust_in(network, path, offline))


def holding(source: Source) -> Bundle:
    """The bundle, once all checks that need only the file hold. Raises `InvalidBundle`."""
    file = parse_bundle(unwrap(source.data))
    verify_bundle(file.bundle)
    file.check_unchanged()
    return file.bundle


def known_network(path: Path | None, *, optional: bool) -> NetworkFile | None:
    """The network to compare with. Raises `Misconfigured` where none is found, unless it is `optional`."""
    if optional and path is None and not default_path().exists():
        return None
    return read_network(path)


async def _verify_online(data: bytes, network: NetworkFile, say: Say | None) -> Verification:
    async with open_chain(network) as chain:
        return await verify_online(data, chain, say)


def trust_in(network: NetworkFile | None, path: Path | None, offline: bool) -> str:
    """Whose word is taken, for people; `path` is where `network` was read, None for the default place."""
    if network is None:
        return "nobody's word but the file's own on chain, contract and anchor"
    contract = f"contract {network.contract.lower()} on chain {network.chain_id}"
    named = f"{contract}, as {(path or default_path()).name} names it"
    return f"{named}; the anchor is the file's word" if offline else f"{named}, asked through {network.rpc_url}"
