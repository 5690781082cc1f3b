"""Nodes that have broken their word, with real signatures, logs and anchors; start from these."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tallynet.audit.evidence import Suspect, promise_of
from tallynet.ledger.memory import MemoryLedger
from tallynet.network.log_reader import LogReader
from tallynet.network.memory import MemoryNetwork, MemoryTransport
from tallynet.network.transport import PeerAddress
from tallynet.protocol.bundle import Bundle
from tallynet.protocol.checkpoint import Checkpoint, SignedCheckpoint, sign_checkpoint
from tallynet.protocol.fault import SignedPromise
from tallynet.protocol.keys import Key
from tallynet.protocol.leaf import Leaf
from tallynet.protocol.receipt import sign_receipt
from tallynet.protocol.units import Digest, Seconds
from tallynet.protocol.wire import LOG_PROTOCOL
from tests.audit.examples import ANCHOR_BY, DOMAIN, NODE, STRANGER, ExampleNode

SUSPECT = Suspect(NODE.address, DOMAIN)
NOW = 1_800_000_000
"""Where the clock of these tests stands until it is moved."""


@dataclass
class Time:
    """A clock that moves when it is told to."""

    now: float = NOW

    def __call__(self) -> float:
        return self.now


@dataclass
class Scene:
    """One registered node, a chain with a clock, and the receipts that the node gave."""

    node: ExampleNode = field(default_factory=ExampleNode)
    time: Time = field(default_factory=Time)
    runs: list[Bundle] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ledger = MemoryLedger(clock=self.time, answer_seconds=3600)

    def run(self, count: int = 1, anchor_by: Seconds = ANCHOR_BY) -> None:
        self.runs += [self.node.run(anchor_by=anchor_by) for _ in range(count)]

    def promise(self, index: int) -> SignedPromise:
        return promise_of(self.runs[index].receipt)


async def scene(*sizes: int) -> Scene:
    """A registered node that has anchored at each of the sizes; five runs more since."""
    made = Scene()
    await made.node.register(made.ledger)
    for size in sizes:
        made.run(size - len(made.runs))
        await made.node.anchor(made.ledger)
    made.run(5)
    return made


@asynccontextmanager
async def reading(node: ExampleNode) -> AsyncIterator[LogReader]:
    """The node's log over a network in memory."""
    network = MemoryNetwork()
    server, reader = MemoryTransport(network, node.key), MemoryTransport(network, STRANGER.peer_id, listen=False)
    server.serve(LOG_PROTOCOL, node.serve)
    async with server.run(), reader.run():
        yield LogReader(reader, PeerAddress(server.peer, server.addresses), node.domain)


def second_promise(bundle: Bundle, *, index: int | None = None, leaf: Leaf | None = None) -> SignedPromise:
    """The node's promise for the run of `bundle` once more, with another index or leaf; really signed."""
    receipt = bundle.receipt
    told = leaf or Leaf.unpack(receipt.leaf)
    place = receipt.receipt.index if index is None else index
    return promise_of(sign_receipt(told, place, receipt.receipt.anchor_by, DOMAIN, NODE))


def signed(size: int, root: Digest, key: Key = NODE) -> SignedCheckpoint:
    return sign_checkpoint(Checkpoint(size, root), DOMAIN, key)


def history(node: ExampleNode, sizes: Sequence[int]) -> list[SignedCheckpoint]:
    """The checkpoints that the node signed on its way."""
    return [signed(size, node.tree.root(size)) for size in sizes]
