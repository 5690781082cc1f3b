"""The network inside one process: the same promises as libp2p, and no socket.

A `MemoryNetwork` is a small world, each `MemoryTransport` one peer in it. Time passes only in `trio`'s clock, so
everything runs under an autojump clock. Peers can be cut off in the middle of whatever they are doing.
Not imitated: encryption, latency, the limits on connections, and lost or late gossip.
"""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from weakref import WeakSet

import trio

from tallynet.network.inbox import Inbox
from tallynet.network.limits import Limits
from tallynet.network.memory_stream import MemoryStream, connect
from tallynet.network.serving import answer
from tallynet.network.transport import MAX_GOSSIP_BYTES, Handler, PeerAddress, Stream
from tallynet.protocol.errors import NodeUnreachable
from tallynet.protocol.keys import Key
from tallynet.protocol.units import ModelId, PeerId


class MemoryNetwork:
    """A world of peers. Everybody in it can reach every listening peer that is not cut off."""

    def __init__(self) -> None:
        self._present: dict[PeerId, MemoryTransport] = {}
        self._cut: set[PeerId] = set()
        self._links: set[frozenset[PeerId]] = set()
        self._provided: dict[ModelId, dict[PeerId, PeerAddress]] = {}

    def cut(self, peer: PeerId) -> None:
        """Break every stream of `peer` at once and keep it unreachable, in both directions, until `heal`."""
        self._cut.add(peer)
        self._break(peer)

    def heal(self, peer: PeerId) -> None:
        """Let a peer that was cut off be reached again."""
        self._cut.discard(peer)

    def _join(self, transport: "MemoryTransport") -> None:
        if transport.peer in self._present:
            raise RuntimeError(f"peer {transport.peer} is already running in this network")
        self._present[transport.peer] = transport

    def _leave(self, transport: "MemoryTransport") -> None:
        self._break(transport.peer)
        del self._present[transport.peer]

    def _break(self, peer: PeerId) -> None:
        self._links = {link for link in self._links if peer not in link}
        for transport in self._present.values():
            transport.break_streams(None if transport.peer == peer else peer)

    def _reach(self, caller: PeerId, to: PeerId) -> "MemoryTransport":
        """The transport of `to`; a dial-only peer is reached only by those it has connected to itself."""
        found = self._present.get(to)
        link = frozenset((caller, to))
        if found is None or self._cut & link or caller == to or (not found.addresses and link not in self._links):
            raise NodeUnreachable(f"peer {to} cannot be reached.")
        self._links.add(link)
        return found

    def _spread(self, author: PeerId, topic: str, data: bytes) -> None:
        for peer, transport in self._present.items():
            if peer != author and not self._cut & {author, peer}:
                transport.hear(author, topic, data)


class MemoryTransport:
    """A `Transport` within a `MemoryNetwork`. `who` is a key or, where nothing is signed, just a peer id."""

    def __init__(
        self, network: MemoryNetwork, who: Key | PeerId, *, listen: bool = True, limits: Limits | None = None
    ) -> None:
        self._network = network
        self._peer = who.peer_id if isinstance(who, Key) else who
        self._addresses = (f"/memory/{self._peer}",) if listen else ()
        self._limits = limits or Limits()
        self._handlers: dict[str, Handler] = {}
        self._streams: WeakSet[MemoryStream] = WeakSet()
        self._served: Counter[PeerId] = Counter()
        self._inboxes: dict[str, list[Inbox]] = {}
        self._house: trio.Nursery | None = None

    @property
    def peer(self) -> PeerId:
        return self._peer

    @property
    def addresses(self) -> tuple[str, ...]:
        return self._addresses

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Be present in the network. What the block raises comes out as it is, not wrapped in a group."""
        failure: BaseException | None = None
        self._network._join(self)
        async with trio.open_nursery() as self._house:
            try:
                yield
            except BaseException as error:
                failure = error
            self._network._leave(self)
            self._house.cancel_scope.cancel()
            self._house = None
        if failure is not None:
            raise failure

    def serve(self, protocol: str, handler: Handler) -> None:
        self._handlers[protocol] = handler

    async def open(self, to: PeerAddress, protocol: str) -> Stream:
        await trio.lowlevel.checkpoint()
        self._running()
        remote = self._network._reach(self._peer, to.peer)
        ours, theirs = connect(self._peer, to.peer)
        remote.welcome(self._peer, protocol, theirs)
        self._streams.add(ours)
        return ours

    async def provide(self, model: ModelId) -> None:
        await trio.lowlevel.checkpoint()
        self._running()
        self._network._provided.setdefault(model, {})[self._peer] = PeerAddress(self._peer, self._addresses)

    async def providers(self, model: ModelId) -> Sequence[PeerAddress]:
        await trio.lowlevel.checkpoint()
        self._running()
        return [found for peer, found in self._network._provided.get(model, {}).items() if peer != self._peer]

    async def publish(self, topic: str, data: bytes) -> None:
        if len(data) > MAX_GOSSIP_BYTES:
            raise ValueError(f"gossip of {len(data)} bytes; at most {MAX_GOSSIP_BYTES} are allowed")
        await trio.lowlevel.checkpoint()
        self._running()
        self._network._spread(self._peer, topic, bytes(data))

    @asynccontextmanager
    async def subscribe(self, topic: str) -> AsyncIterator[AsyncIterator[tuple[PeerId, bytes]]]:
        inbox = Inbox()
        self._inboxes.setdefault(topic, []).append(inbox)
        try:
            yield inbox
        finally:
            self._inboxes[topic].remove(inbox)
            inbox.close()

    def welcome(self, caller: PeerId, protocol: str, stream: MemoryStream) -> None:
        """Start serving a stream that `caller` opens; raises `NodeUnreachable` where libp2p's caller would see it."""
        handler = self._handlers.get(protocol)
        if handler is None:
            raise NodeUnreachable(f"peer {self._peer} does not speak {protocol}.")
        if self._served[caller] >= self._limits.streams_per_peer:
            raise NodeUnreachable(f"peer {self._peer} refused a stream of {protocol}: too many are open.")
        self._streams.add(stream)
        self._served[caller] += 1
        self._running().start_soon(self._answer, handler, stream, protocol)

    def break_streams(self, remote: PeerId | None) -> None:
        """Break every stream, or those with `remote`."""
        for stream in list(self._streams):
            if remote in (None, stream.remote):
                stream.break_off()

    def hear(self, author: PeerId, topic: str, data: bytes) -> None:
        """Take a gossiped message."""
        for inbox in self._inboxes.get(topic, ()):
            inbox.put(author, data)

    async def _answer(self, handler: Handler, stream: MemoryStream, protocol: str) -> None:
        try:
            await answer(handler, stream, protocol)
        finally:
            self._served -= Counter([stream.remote])

    def _running(self) -> trio.Nursery:
        if self._house is None:
            raise RuntimeError("the transport is used outside its run() block")
        return self._house
