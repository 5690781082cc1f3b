"""How many jobs a client has open with one node at a time.

A node resets the streams of one peer beyond its limit (64 by default), whoever is behind that peer: a gateway with
hundreds of callers waits here instead, and asks a node with a free line first.
"""

import trio

from tallynet.protocol.units import PeerId

LINES_PER_NODE = 48
"""Leaves room for questions about adverts and logs."""


OPENINGS_PER_NODE = 8
"""Streams that are being opened at a time: each takes several rounds, and a hundred at once would all be too late."""


class Line:
    """One place among a node's lines, taken until `release`."""

    def __init__(self, limiter: trio.CapacityLimiter, opening: trio.CapacityLimiter) -> None:
        self.opening = opening
        """Held while the stream is opened."""
        self._limiter = limiter
        self._held = False

    async def take(self) -> None:
        """Wait for the place. Cancelled while waiting, it holds none."""
        await self._limiter.acquire_on_behalf_of(self)
        self._held = True

    def release(self) -> None:
        """Idempotent."""
        if self._held:
            self._held = False
            self._limiter.release_on_behalf_of(self)


class Lines:
    """Of all nodes that one client talks to. For one trio loop."""

    def __init__(self, each: int = LINES_PER_NODE) -> None:
        self._each = each
        self._limiters: dict[PeerId, trio.CapacityLimiter] = {}
        self._openings: dict[PeerId, trio.CapacityLimiter] = {}

    def line(self, peer: PeerId) -> Line:
        """A line to `peer`, not yet taken."""
        opening = self._openings.setdefault(peer, trio.CapacityLimiter(OPENINGS_PER_NODE))
        return Line(self._limiter(peer), opening)

    def free(self, peer: PeerId) -> bool:
        """Whether a line could be taken without waiting."""
        return self._limiter(peer).available_tokens > 0

    def _limiter(self, peer: PeerId) -> trio.CapacityLimiter:
        return self._limiters.setdefault(peer, trio.CapacityLimiter(self._each))
