"""Tickets from their arrival to their prefill, in arrival order: whoever came first is prefilled first."""

import queue
from collections import deque
from dataclasses import dataclass
from itertools import islice, takewhile

from tallynet.engine.batch import Batch
from tallynet.engine.prefill import Prefill
from tallynet.engine.reading import Reading
from tallynet.engine.ticket import Ticket


@dataclass(slots=True)
class Entering:
    """Tickets that hold slots, and the prefill of their prompts."""

    tickets: list[Ticket]
    prefill: Prefill | Reading
    """A reading is of one ticket, whose text is scored: it never becomes a row."""

    @property
    def left(self) -> bool:
        """Nobody reads any of them."""
        return all(ticket.left for ticket in self.tickets)

    def release(self) -> None:
        for ticket in self.tickets:
            ticket.running = False


class Entrance:
    """`submit` and `wake` are called from any thread, everything else from the worker's."""

    def __init__(self) -> None:
        self._arrivals: queue.SimpleQueue[Ticket | None] = queue.SimpleQueue()
        self._waiting: deque[Ticket] = deque()
        self._alone = 0
        """How many of the next are prefilled alone."""

    def submit(self, ticket: Ticket) -> None:
        self._arrivals.put(ticket)

    def wake(self) -> None:
        """End a wait in `look`."""
        self._arrivals.put(None)

    def look(self, *, wait: bool) -> None:
        """Take in what has arrived; with `wait`, wait for an arrival when nobody is here."""
        wait = wait and not self._waiting
        while wait or not self._arrivals.empty():
            ticket = self._arrivals.get()
            wait = False
            if ticket is not None:
                self._waiting.append(ticket)

    def admit(self, batch: Batch) -> Entering | None:
        """Give slots to the next tickets whose readers still wait, if there are both."""
        while self._waiting and self._waiting[0].left:
            self._waiting.popleft()
        if not self._waiting or batch.rows == batch.slots:
            return None
        entering = self._begin_reading(batch) or self._begin_prefill(batch)
        for ticket in entering.tickets:
            ticket.running = True
        return entering

    def _begin_reading(self, batch: Batch) -> Entering | None:
        """If the first is to be scored; there is no such ticket where the batch has no reader."""
        generation = self._waiting[0].generation
        if self._waiting[0].recital is None or batch.reader is None:
            return None
        self._alone = max(0, self._alone - 1)
        return Entering([self._waiting.popleft()], batch.reader.begin(generation.prompt, generation.scored))

    def _begin_prefill(self, batch: Batch) -> Entering:
        together = takewhile(lambda ticket: ticket.recital is None, self._waiting)
        prompts = [ticket.generation.prompt for ticket in islice(together, 1 if self._alone else batch.slots)]
        self._alone = max(0, self._alone - 1)
        prefill = batch.begin(prompts)
        return Entering([self._waiting.popleft() for _ in prefill.prompts], prefill)

    def separate(self, entering: Entering) -> None:
        """They could not be prefilled together: let each try alone, before all others."""
        entering.release()
        self._waiting.extendleft(reversed(entering.tickets))
        self._alone += len(entering.tickets)
