"""From the decoding thread to the readers: by way of the trio loop, or at once where pieces are told and not read."""

import trio

from tallynet.engine.engine import Tell
from tallynet.engine.ticket import Item, Ticket
from tallynet.protocol.errors import TallyError


class Delivery:
    """What a worker delivers with."""

    def __init__(self, loop: trio.lowlevel.TrioToken, tell: Tell | None) -> None:
        self._loop = loop
        self._tell = tell

    def __call__(self, items: list[tuple[Ticket, Item | None]]) -> None:
        """None tells that a slot is held. An error is for whoever reads: it is told in their words."""
        read = []
        told = []
        for ticket, item in items:
            if ticket.number is not None and not isinstance(item, TallyError):
                told.append((ticket.number, item))
            if ticket.number is None or _is_turn(item):
                read.append((ticket, item))
        if told and self._tell is not None:
            self._tell(told)
        if read:
            self._loop.run_sync_soon(hand_over, read)


def hand_over(items: list[tuple[Ticket, Item | None]]) -> None:
    """On the trio side: what the worker has for its readers."""
    for ticket, item in items:
        ticket.admitted.set()
        if item is not None:
            ticket.put(item)


def _is_turn(item: Item | None) -> bool:
    """Whether a generation begins or ends with it."""
    return item is None or isinstance(item, TallyError) or item.finish is not None
