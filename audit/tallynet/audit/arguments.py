"""What commands of the auditor share: addresses, keys, where evidence and state lie."""

import os
from pathlib import Path
from typing import Annotated

import typer

from tallynet.console.folders import state_folder
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.keys import Key
from tallynet.protocol.keystore import read_keystore
from tallynet.protocol.units import Address, prefixed

AddressArgument = Annotated[str, typer.Argument(help="The node's address, 0x….", show_default=False)]
PeerOption = Annotated[str, typer.Option("--peer", help="Where to dial it: /ip4/HOST/tcp/PORT/p2p/PEER_ID.")]
SendOption = Annotated[bool, typer.Option("--send", help="Send the transaction; without it nothing is sent.")]
KeystoreOption = Annotated[
    Path | None,
    typer.Option(
        "--keystore",
        help="Key that sends and pays the gas; its password is TALLYNET_PASSWORD.",
        show_default=False,
    ),
]
EvidenceOption = Annotated[
    Path | None,
    typer.Option("--evidence", help="Folder for evidence files. Default: in the state folder.", show_default=False),
]


def read_address(text: str) -> Address:
    """Raises `Misconfigured` for anything but 0x and 40 hex digits."""
    try:
        raw = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raw = b""
    if len(raw) != 20 or not text.startswith("0x"):
        raise Misconfigured(
            f"{text!r} is not an address.", remedy="Write it as 0x and 40 hex digits; `tallynet nodes` lists them."
        )
    return Address(raw)


def sender(keystore: Path | None, send: bool) -> Key | None:
    """The key to send with; None for a dry run without one. Raises `Misconfigured` when it is needed and missing."""
    if keystore is not None:
        return read_keystore(keystore, os.environ.get("TALLYNET_PASSWORD", ""))
    if send:
        raise Misconfigured("Nobody is named who sends the transaction.", remedy="Name a key with --keystore FILE.")
    return None


def evidence_folder(given: Path | None) -> Path:
    """The folder for evidence files, made if it is the user's own. Raises `Misconfigured` for one that is none."""
    if given is not None and not given.is_dir():
        raise Misconfigured(f"{given} is no folder.", remedy="Make it, or name another one with --evidence.")
    folder = given or state_folder() / "evidence"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def state_file(domain: Domain, name: str) -> Path:
    """Where the auditor remembers something of a network between runs."""
    folder = state_folder() / "audit"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder / f"{domain.chain_id}-{prefixed(domain.contract)}-{name}"
