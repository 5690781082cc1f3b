"""How peers talk, as narrow as it can be: dial a peer, open a stream, serve a protocol, spread an advert.

Two implementations keep this promise: `host.Libp2pTransport` over py-libp2p and
`memory.MemoryTransport`, its twin inside one process. Nothing above this package knows which one it holds.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from tallynet.protocol.units import ModelId, PeerId

MAX_GOSSIP_BYTES = 16 * 1024
"""Largest gossiped message; the sender gets a ValueError, a larger one from the network is dropped."""

WINDOW_BYTES = 256 * 1024
"""How much a stream takes from its writer before the reader has to read."""

STALL_SECONDS = 5.0
"""A writer whose reader leaves a full window unread for so long gives up. Source: yamux in py-libp2p, fixed there."""


@dataclass(frozen=True, slots=True)
class PeerAddress:
    """Where a peer can be dialled."""

    peer: PeerId
    addresses: tuple[str, ...]
    """Multiaddrs without the `/p2p/` part, e.g. `/ip4/127.0.0.1/tcp/4001`; may be empty where the transport
    already knows the way."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `/ip4/…/tcp/…/p2p/<peer id>`; raises `Misconfigured` for anything else."""
        from tallynet.protocol.errors import Misconfigured

        address, found, peer = text.rpartition("/p2p/")
        if not found or not peer or not address.startswith("/") or "/" in peer:
            raise Misconfigured(
                f"{text!r} is not a peer address.",
                remedy="Write it as /ip4/HOST/tcp/PORT/p2p/PEER_ID.",
            )
        return cls(PeerId(peer), (address,))

    def __str__(self) -> str:
        where = self.addresses[0] if self.addresses else ""
        return f"{where}/p2p/{self.peer}"


class Stream(Protocol):
    """A two-way byte stream to one peer, encrypted and authenticated below us."""

    @property
    def remote(self) -> PeerId:
        """The authenticated peer on the other side."""

    async def send(self, data: bytes) -> None:
        """Write all of `data`.

        Raises `NodeUnreachable` when the peer is gone, or reads nothing for STALL_SECONDS with a full window.
        Cancelled, it may have written a part: only `abort` makes sense then.
        """

    async def receive(self, count: int) -> bytes:
        """Read exactly `count` bytes (≥ 1).

        Raises `EndOfStream` when the peer closed its side before the first byte and `NodeUnreachable` when it
        broke off in the middle or vanished. Waits without limit: callers set the deadline. Cancelled, it may have
        lost bytes that had arrived: only `abort` makes sense then.
        """

    async def finish(self) -> None:
        """Say that nothing more is sent; the other direction stays open. Idempotent; does not raise when the peer
        is gone, which the next `receive` tells."""

    async def abort(self) -> None:
        """Drop the stream in both directions at once. Idempotent, never raises, safe under cancellation."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish and release after success; abort after an exception, however the block was left."""


class EndOfStream(Exception):
    """The peer closed its side cleanly between two messages. Control flow, hence not a `TallyError`."""


Handler = Callable[[Stream], Awaitable[None]]
"""Serves one inbound stream. Whatever it raises aborts that stream alone, never the host."""


class Transport(Protocol):
    """One peer's presence on the network; running between `__aenter__` and `__aexit__` of `run()`."""

    @property
    def peer(self) -> PeerId:
        """Our own id."""

    @property
    def addresses(self) -> tuple[str, ...]:
        """The multiaddrs we listen on; empty for a dial-only peer. Known once `run()` has been entered."""

    def run(self) -> AbstractAsyncContextManager[None]:
        """Listen and keep house until the block is left; leaving closes every connection."""

    def serve(self, protocol: str, handler: Handler) -> None:
        """Answer inbound streams of `protocol`; call before or inside `run()`."""

    async def open(self, to: PeerAddress, protocol: str) -> Stream:
        """Dial if need be and open a stream, within the transport's limits (10 s unless said otherwise).

        Raises `NodeUnreachable` when the peer cannot be reached, is somebody else, or does not speak `protocol`.
        """

    async def provide(self, model: ModelId) -> None:
        """Announce in the Kademlia DHT that we serve `model`; repeated by the caller before it expires."""

    async def providers(self, model: ModelId) -> Sequence[PeerAddress]:
        """Who else announced `model` in the DHT, as far as we can find out; may be stale, incomplete or a lie: it is
        `open` that authenticates a peer."""

    async def publish(self, topic: str, data: bytes) -> None:
        """Gossip `data` (at most MAX_GOSSIP_BYTES) to everyone subscribed to `topic`. Best effort."""

    def subscribe(self, topic: str) -> AbstractAsyncContextManager[AsyncIterator[tuple[PeerId, bytes]]]:
        """Gossip of others under `topic` as (author, data); the oldest unread are dropped past a bound."""
