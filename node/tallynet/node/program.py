"""One node as a program: open what it needs, run it until a signal, write down that it is ready."""

import json
import logging
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import trio

from tallynet.console.network_file import NetworkFile, read_network
from tallynet.ledger import Ledger
from tallynet.ledger.opening import open_ledger
from tallynet.network.transport import PeerAddress, Transport
from tallynet.node.config import NodeConfig
from tallynet.node.engines import Engines
from tallynet.node.loading import load_engines
from tallynet.node.service import Node, Running
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.keys import Key
from tallynet.protocol.keystore import read_keystore
from tallynet.protocol.units import prefixed
from tallynet.protocol.whole_file import write_whole

log = logging.getLogger(__name__)

REGISTRATION_SECONDS = 15.0
POLL_SECONDS = 1.0


async def run_node(config: NodeConfig, ready: Path | None, make: Callable[..., Node] = Node) -> None:
    """The whole life of the process: until SIGINT or SIGTERM, gracefully; a second signal ends it at once.

    `make` is called as `Node` is."""
    began = time.monotonic()
    network, key = read_network(config.network), read_keystore(config.keystore, config.password)
    engines = await _load(config)
    peers = _bootstrap(network, key)
    async with (
        open_ledger(network.rpc_url, network.domain, network.confirmations) as ledger,
        trio.open_nursery() as nursery,
    ):
        await _check_registered(ledger, key)
        node = make(config, key, _open_transport(config, key, peers), ledger, engines, peers)
        nursery.start_soon(_stop_on_signal, node, nursery.cancel_scope)
        nursery.start_soon(_run, node, nursery, config, ready, began)


async def _load(config: NodeConfig) -> Engines:
    """The models in processes of their own; what is slow to import here is imported meanwhile."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, _import_slow)
        return await trio.to_thread.run_sync(load_engines, config, abandon_on_cancel=True)


def _import_slow() -> None:
    import tallynet.ledger.chain
    import tallynet.network.host  # noqa: F401  # imported for later


async def _run(node: Node, nursery: trio.Nursery, config: NodeConfig, ready: Path | None, began: float) -> None:
    async with trio.open_nursery() as serving:
        running: Running = await serving.start(node.run)
        seconds = time.monotonic() - began
        log.info("ready after %.1f s: %s", seconds, running.peer)
        if ready is not None:
            _write_ready(ready, node, running, seconds)
    nursery.cancel_scope.cancel()


async def _stop_on_signal(node: Node, scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for number in signals:
            if node.stopping.is_set():
                scope.cancel()
                return
            log.info("stopping on %s; once more to stop at once", signal.Signals(number).name)
            node.stop()


def _open_transport(config: NodeConfig, key: Key, peers: tuple[PeerAddress, ...]) -> Transport:
    from tallynet.network.host import Libp2pTransport  # slow to import

    return Libp2pTransport(key, listen=config.listen, announce=config.announce, bootstrap=peers)


def _bootstrap(network: NetworkFile, key: Key) -> tuple[PeerAddress, ...]:
    """Everyone the network file names but ourselves."""
    peers = [PeerAddress.parse(text) for text in network.bootstrap]
    return tuple(peer for peer in peers if peer.peer != key.peer_id)


async def _check_registered(ledger: Ledger, key: Key) -> None:
    """Waits a little: whoever starts a network registers its nodes while they start."""
    with trio.move_on_after(REGISTRATION_SECONDS):
        while await ledger.node(key.address) is None:
            log.info("waiting to be registered on the ledger")
            await trio.sleep(POLL_SECONDS)
        return
    raise Misconfigured(
        f"Node {prefixed(key.address)} is not registered on the ledger.",
        remedy="Register it with `tallynet node register`; its receipts are worth nothing without a stake.",
    )


def _write_ready(path: Path, node: Node, running: Running, seconds: float) -> None:
    """Tell whoever started us; the file appears whole or not at all."""
    facts = {
        "address": prefixed(node.key.address),
        "peer": node.key.peer_id,
        "multiaddr": str(running.peer),
        "http": running.http,
        "models": {served.name: prefixed(served.model) for served in node.engines},
        "pid": os.getpid(),
        "seconds": round(seconds, 2),
    }
    write_whole(path, f"{json.dumps(facts, indent=2)}\n".encode(), "ready file")
