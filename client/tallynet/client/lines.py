"""How many jobs a client has open with one node at a time, and the streams that it keeps for the next ones.

A node resets the streams of one peer beyond its limit (64 by default), whoever is behind that peer: a gateway with
hundreds of callers waits here instead, and asks a node with a free line first. Opening a stream costs more than all
the messages of a short job: a stream whose job ended well carries the next job to the same node.
"""

from collections import defaultdict
from dataclasses import dataclass, field

import trio

from tallynet.network.transport import PeerAddress, Stream, Transport
from tallynet.protocol.units import PeerId
from tallynet.protocol.wire import JOB_PROTOCOL

LINES_PER_NODE = 48
"""Leaves room for questions about adverts and logs. Idle streams count: there is never one beside a busy line more
than lines were busy at once."""


OPENINGS_PER_NODE = 8
"""Streams that are being opened at a time: each takes several rounds, and a hundred at once would all be too late."""
IDLE_SECONDS = 40.0
"""A stream that was idle for longer is not used again: the node closes it after 60 s (spec chapter 2)."""


@dataclass(frozen=True, slots=True)
class _Idle:
    stream: Stream
    since: float


@dataclass
class _Trunk:
    """All lines to one node."""

    limiter: trio.CapacityLimiter
    opening: trio.CapacityLimiter = field(default_factory=lambda: trio.CapacityLimiter(OPENINGS_PER_NODE))
    """Held while a stream is opened."""
    idle: list[_Idle] = field(default_factory=list)
    """The one used last stands last."""


class Line:
    """One place among a node's lines, taken until `release` or `keep`, and the stream on it."""

    def __init__(self, trunk: _Trunk, fresh: bool) -> None:
        self.reused = False
        """Whether the stream has carried a job before: then the node may have closed it meanwhile."""
        self._trunk = trunk
        self._fresh = fresh
        self._held = False

    async def take(self) -> None:
        """Wait for the place. Cancelled while waiting, it holds none."""
        await self._trunk.limiter.acquire_on_behalf_of(self)
        self._held = True

    async def stream(self, transport: Transport, peer: PeerAddress) -> Stream:
        """One that is left from an earlier job, or a new one. Raises `NodeUnreachable`."""
        idle = self._trunk.idle
        while idle and not self._fresh:
            last = idle.pop()
            if trio.current_time() - last.since < IDLE_SECONDS:
                self.reused = True
                return last.stream
            await last.stream.abort()
        async with self._trunk.opening:
            return await transport.open(peer, JOB_PROTOCOL)

    def keep(self, stream: Stream) -> None:
        """Release the place, and leave the stream for the next job: the one on it has ended well."""
        if self._held:
            self._trunk.idle.append(_Idle(stream, trio.current_time()))
        self.release()

    async def drop_idle(self) -> None:
        """The node may have closed all streams that are idle: use none of them."""
        while self._trunk.idle:
            await self._trunk.idle.pop().stream.abort()

    def release(self) -> None:
        """Idempotent."""
        if self._held:
            self._held = False
            self._trunk.limiter.release_on_behalf_of(self)


class Lines:
    """Of all nodes that one client talks to. For one trio loop."""

    def __init__(self, each: int = LINES_PER_NODE) -> None:
        self._trunks: defaultdict[PeerId, _Trunk] = defaultdict(lambda: _Trunk(trio.CapacityLimiter(each)))

    def line(self, peer: PeerId, fresh: bool = False) -> Line:
        """A line to `peer`, not yet taken; a `fresh` one is over a new stream."""
        return Line(self._trunks[peer], fresh)

    def free(self, peer: PeerId) -> bool:
        """Whether a line could be taken without waiting."""
        return self._trunks[peer].limiter.available_tokens > 0
