"""The network file: which chain and contract, and whom to dial first. JSON, safe to publish.

{"name": "devnet", "rpc_url": "http://127.0.0.1:8545", "chain_id": 1337, "contract": "0x…",
 "bootstrap": ["/ip4/127.0.0.1/tcp/4001/p2p/16Uiu2…"], "confirmations": 1, "start_block": 1}
"""

import os
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from tallynet.console.folders import config_folder
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.units import Address
from tallynet.protocol.whole_file import write_whole

MAX_BYTES = 1024 * 1024


class NodeHint(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A node that whoever wrote the file knows of."""

    address: Annotated[str, Meta(pattern=r"\A0x[0-9a-fA-F]{40}\Z")]
    multiaddr: str
    http: str = ""
    model: str = ""
    others: tuple[str, ...] = ()
    """What it serves besides."""


class NetworkFile(Struct, frozen=True, forbid_unknown_fields=True):
    """What a program needs to know to take part."""

    rpc_url: Annotated[str, Meta(pattern="^https?://", max_length=2048)]
    chain_id: Annotated[int, Meta(gt=0, lt=2**53)]
    contract: Annotated[str, Meta(pattern=r"\A0x[0-9a-fA-F]{40}\Z")]
    bootstrap: Annotated[tuple[str, ...], Meta(max_length=256)] = ()
    """Peer addresses, `/ip4/…/tcp/…/p2p/…`."""
    name: str = "network"
    confirmations: Annotated[int, Meta(ge=1, le=1000)] = 1
    """Blocks, its own included, after which an anchor counts."""
    start_block: Annotated[int, Meta(ge=0, lt=2**53)] = 0
    """Block of the contract's creation: events are read from here."""
    nodes: Annotated[tuple[NodeHint, ...], Meta(max_length=4096)] = ()

    @property
    def domain(self) -> Domain:
        return Domain(self.chain_id, Address(bytes.fromhex(self.contract[2:])))


def default_path() -> Path:
    """`TALLYNET_NETWORK`, or `network.json` in the user's config folder."""
    named = os.environ.get("TALLYNET_NETWORK")
    return Path(named) if named else config_folder() / "network.json"


def read_network(path: Path | None = None) -> NetworkFile:
    """Read and check a network file; raises `Misconfigured`."""
    path = path or default_path()
    try:
        if path.stat().st_size > MAX_BYTES:
            raise Misconfigured(f"The network file {path} is larger than {MAX_BYTES} bytes.")
        return msgspec.json.decode(path.read_bytes(), type=NetworkFile)
    except OSError as error:
        raise Misconfigured(
            f"The network file {path} cannot be read: {error.strerror}.",
            remedy="Name one with --network FILE, or start a local network with `tallynet devnet up --dir D` "
            "and use D/network.json.",
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Misconfigured(
            f"The network file {path} is not valid: {error}.", remedy="Get the file again from where you had it."
        ) from error


def write_network(path: Path, network: NetworkFile) -> None:
    """Write the file whole or not at all. Raises `Misconfigured` when it cannot be written."""
    write_whole(path, msgspec.json.format(msgspec.json.encode(network), indent=2) + b"\n", "network file")
