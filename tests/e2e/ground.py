"""What node processes stand on: a chain in a process of its own, a contract on it, the nodes registered there."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import trio

from tallynet.console.network_file import NetworkFile, write_network
from tallynet.devnet.chain.accounts import funded_key
from tallynet.devnet.deployment import deploy_ledger, enlist
from tallynet.devnet.plan import Plan, Seat, prepare
from tallynet.devnet.program import Program, Ready
from tallynet.devnet.purse import Purse
from tallynet.ledger.ledger import Ledger
from tallynet.ledger.opening import open_ledger
from tallynet.network.transport import PeerAddress
from tallynet.protocol.errors import ChainUnreachable


@dataclass(frozen=True)
class Ground:
    """The nodes' places in the world; the nodes themselves are somebody else's to start."""

    seats: tuple[Seat, ...]
    network: NetworkFile
    network_path: Path
    ledger: Ledger

    @property
    def seat(self) -> Seat:
        """Of the first node, or the only one."""
        return self.seats[0]

    @property
    def peer(self) -> PeerAddress:
        return PeerAddress.parse(self.seat.member.multiaddr)


@asynccontextmanager
async def open_ground(
    folder: Path, model: str, *, nodes: int = 1, anchor_seconds: float = 1.0
) -> AsyncIterator[Ground]:
    """The chain runs for as long as the block does. `model` is what the nodes are configured to serve."""
    seats = await trio.to_thread.run_sync(prepare, Plan(folder, nodes, model, anchor_seconds=anchor_seconds))
    async with trio.open_nursery() as nursery:
        chain: Ready = await nursery.start(_chain(folder).run)
        network = await deploy_ledger(str(chain.facts["rpc_url"]), funded_key(), "e2e")
        network = msgspec.structs.replace(network, bootstrap=tuple(seat.member.multiaddr for seat in seats))
        for name in ("chain.json", "network.json"):  # the node reads the first, everybody else the second
            write_network(folder / name, network)
        async with open_ledger(network.rpc_url, network.domain, network.confirmations) as ledger:
            for seat in seats:
                await enlist(ledger, Purse(network.rpc_url, funded_key()), seat.member)
            yield Ground(tuple(seats), network, folder / "network.json", ledger)
        nursery.cancel_scope.cancel()


def _chain(folder: Path) -> Program:
    ready = folder / "chain-ready.json"
    arguments = ["--port", "0", "--ready", str(ready)]
    return Program("the chain", "tallynet.devnet.chain", arguments, folder / "chain.log", ready, ChainUnreachable)
