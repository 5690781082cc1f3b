"""Who has registered on the chain, and where each said it can be dialled.

The contract keeps no list: a slot per node for ever would cost every operator more than the rest of a registration.
The `Registered` events are the list. Settled blocks are read once, the last few each time.
"""

from tallynet.ledger.events import REGISTERED, registered
from tallynet.ledger.history import SETTLED_BLOCKS, History
from tallynet.protocol.units import Address


class Directory:
    """The last published multiaddr of every node that ever registered, also of those that have left."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._settled: dict[Address, str] = {}
        self._settled_to = -1

    async def read(self, latest: int) -> dict[Address, str]:
        """The directory as of block `latest`."""
        settled_to = max(self._settled_to, latest - SETTLED_BLOCKS)
        self._settled |= await self._registered(self._settled_to + 1, settled_to)
        self._settled_to = settled_to
        return self._settled | await self._registered(settled_to + 1, latest)

    async def _registered(self, first: int, last: int) -> dict[Address, str]:
        events = [registered(log) for log in await self._history.logs([REGISTERED], first, last)]
        return {event.node: event.multiaddr for event in events}
