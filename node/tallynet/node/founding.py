"""Before and beside a node's life: make its folder, register it on the ledger, ask a running one how it is."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from tallynet.console.network_file import read_network
from tallynet.ledger import NodeEntry
from tallynet.ledger.opening import open_ledger
from tallynet.node.config import NodeConfig
from tallynet.protocol.errors import Misconfigured, NodeUnreachable, Refused
from tallynet.protocol.keys import Key
from tallynet.protocol.keystore import read_keystore, write_keystore
from tallynet.protocol.units import Wei

_TEMPLATE = """\
# A Tallynet node. Every setting, with its unit, is described in tallynet/node/config.py.
keystore = "key.json"          # the node's key, encrypted with TALLYNET_PASSWORD
data = "data"                  # its log; never run two nodes on one, never restore an old copy
network = {network}
{models}
listen = ["/ip4/0.0.0.0/tcp/4001"]
http = "127.0.0.1:8080"        # status, metrics and log; no authentication, keep it on loopback
prompt_price_wei = 0           # per prompt token
completion_price_wei = 0       # per answered token
anchor_seconds = 300           # oldest age of an entry that is not anchored
anchor_count = 1000            # or so many entries, whichever comes first
promise_seconds = 3600         # how long after a job its receipt promises the anchor
"""


def found_node(folder: Path, models: Sequence[str], network: Path, password: str) -> tuple[Path, Key]:
    """Write `node.toml` and `key.json`; raises `Misconfigured` when either is there already."""
    config = folder / "node.toml"
    if config.exists():
        raise Misconfigured(f"There is already a node in {folder}.", remedy="Use it, or choose another folder.")
    folder.mkdir(parents=True, exist_ok=True)
    key = Key.generate()
    write_keystore(folder / "key.json", key, password)
    config.write_text(_TEMPLATE.format(network=json.dumps(str(network)), models=_write_models(models)))
    return config, key


def _write_models(models: Sequence[str]) -> str:
    said = f"model = {json.dumps(models[0])}" if len(models) == 1 else f"models = {json.dumps(list(models))}"
    return f"{said:<30} # fake, a directory, a Hugging Face id, or openai:URL#MODEL"


async def register_node(config: NodeConfig, operator: Key, stake: Wei, address: str) -> NodeEntry:
    """Stake for the node. Raises `Refused` with the contract's reason, `ChainUnreachable`, `Misconfigured`."""
    network, key = read_network(config.network), read_keystore(config.keystore, config.password)
    announced = address or f"{(config.announce or config.listen)[0]}/p2p/{key.peer_id}"
    async with open_ledger(network.rpc_url, network.domain, network.confirmations) as ledger:
        await ledger.register(operator, key, stake, announced)
        entry = await ledger.node(key.address)
    if entry is None:
        raise Refused("The node is not registered after its registration.", reason="no entry")
    return entry


def ask_status(config: NodeConfig) -> dict[str, Any]:
    """The answer of the node's `/status`; raises `NodeUnreachable`."""
    if not config.http:
        raise Misconfigured("This node serves no HTTP.", remedy='Set `http = "127.0.0.1:8080"` in its configuration.')
    try:
        answer = httpx.get(f"http://{config.http}/status", timeout=5)
        answer.raise_for_status()
        status: dict[str, Any] = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        raise NodeUnreachable(
            f"The node at http://{config.http} does not answer: {error}.", remedy="Start it with `tallynet node run`."
        ) from error
    return status
