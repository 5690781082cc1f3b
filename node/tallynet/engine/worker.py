"""The thread that decodes: admits generations in arrival order, gives each a token per step, sends off the pieces.

Generations share steps but nothing else: a row's tokens follow from its own prompt, parameters and seed. Between two
steps a bounded part of the waiting prompts is prefilled, so that a long one holds up nobody. Torch and the trio loop
share Python's interpreter lock; the thread waits for nothing but that and new arrivals.
"""

import logging
import math
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from tallynet.engine.batch import Batch
from tallynet.engine.engine import Piece
from tallynet.engine.entrance import Entering, Entrance
from tallynet.engine.prefill import PART_TOKENS
from tallynet.engine.reading import Reader, Reading
from tallynet.engine.rules import ruled
from tallynet.engine.sampler import Choice, Draw, sample_rows
from tallynet.engine.ticket import Item, Ticket
from tallynet.protocol.errors import Busy, TallyError, Unreachable

log = logging.getLogger(__name__)

RETRY_MS = 1000
"""When to try again after the device ran out of memory."""

REMEDY = "Send the job to another node; the operator finds the details in this node's log."

SMOOTHING = 0.02
"""Weight of the latest step in the moving average of the step time."""

Deliver = Callable[[list[tuple[Ticket, Item | None]]], None]
"""Takes what the worker has for its readers; None tells that a slot is held. Called from the worker's thread."""


class Worker:
    """`submit` and `stop` are called from other threads, `work` is the thread."""

    def __init__(self, batch: Batch, step_seconds: float, deliver: Deliver) -> None:
        self._batch = batch
        self._deliver = deliver
        self._entrance = Entrance()
        self._entering: Entering | None = None
        self._stopping = False
        self._rows: list[tuple[Ticket, int]] = []
        """The running generations and their latest tokens, numbered like the rows of the batch."""
        self._outbox: list[tuple[Ticket, Item | None]] = []
        self.step_seconds = step_seconds
        """Seconds per token of one generation, a moving average."""

    def submit(self, ticket: Ticket) -> None:
        self._entrance.submit(ticket)

    def stop(self) -> None:
        """End `work` before the next token."""
        self._stopping = True
        self._entrance.wake()

    def work(self) -> None:
        """Decode until stopped; inside `torch.inference_mode()`."""
        while not self._stopping:
            self._entrance.look(wait=not self._rows and self._entering is None)
            began = time.perf_counter()
            self._drop_left()
            self._admit()
            if self._rows:
                self._step()
                self.step_seconds += SMOOTHING * (time.perf_counter() - began - self.step_seconds)
        for ticket, _ in self._rows:
            ticket.running = False
        if self._entering is not None:
            self._entering.release()
        self._batch.clear()

    def _drop_left(self) -> None:
        for row in reversed(range(len(self._rows))):
            if self._rows[row][0].left:
                self._end(row)
        if self._entering is not None and self._entering.left:
            self._entering.release()
            self._entering = None

    def _admit(self) -> None:
        """Prefill about PART_TOKENS of those whose turn it is, as long as there are slots."""
        spent = 0
        while spent < PART_TOKENS and not self._stopping:
            if self._entering is None:
                self._entering = self._entrance.admit(self._batch)
                if self._entering is None:
                    return
                self._deliver([(ticket, None) for ticket in self._entering.tickets])
            spent += self._enter(self._entering)

    def _enter(self, entering: Entering) -> int:
        """Prefill a part, and choose the first tokens once it is complete; returns how many positions that took."""
        if isinstance(entering.prefill, Reading):
            return self._read(entering, entering.prefill)
        before = entering.prefill.positions
        try:
            logits = self._batch.enter(entering.prefill)
        except Exception as error:  # foreign code on a device: whatever it raises ends these generations only
            self._fail_entering(entering, error)
            return PART_TOKENS
        if logits is not None:
            self._entering = None
            first = len(self._rows)
            self._rows.extend((ticket, 0) for ticket in entering.tickets)
            self._choose(logits, first, self._batch.hidden, 1 if entering.prefill.alone else max(2, len(logits)))
        return entering.prefill.positions - before

    def _read(self, entering: Entering, reading: Reading) -> int:
        """One pass over a text that is scored; returns how many positions that took."""
        before, (ticket,) = reading.positions, entering.tickets
        try:
            pieces = _recite(self._batch.reader, reading, ticket)
        except Exception as error:  # as above
            self._fail_entering(entering, error)
            return PART_TOKENS
        if reading.complete:
            self._entering = None
            entering.release()
        self._deliver([(ticket, piece) for piece in pieces])
        return reading.positions - before

    def _fail_entering(self, entering: Entering, error: Exception) -> None:
        self._entering = None
        if self._batch.rows != len(self._rows):
            self._lose(error)
        if len(entering.tickets) > 1:
            self._entrance.separate(entering)
        else:
            self._fail(entering.tickets, error)

    def _step(self) -> None:
        """One more token for every row."""
        try:
            logits = self._batch.step([token for _, token in self._rows])
        except Exception as error:  # as above, but all rows share the step
            self._lose(error)
        else:
            self._choose(logits, 0, self._batch.hidden, len(logits))

    def _choose(self, logits: Tensor, first: int, hidden: Tensor | None, shared: int) -> None:
        """Choose the next token of the rows from `first` on; logits (rows, vocabulary), hidden (rows, width).

        `shared` is how many generations had a part in these numbers.
        """
        try:
            logits = ruled(logits, [ticket.rules for ticket, _ in self._rows[first:]])
            choices = sample_rows(logits, [_draw(ticket) for ticket, _ in self._rows[first:]])
            hidden = None if hidden is None else hidden.cpu()
        except Exception as error:
            self._lose(error)
            return
        for row in reversed(range(len(choices))):
            self._take(first + row, choices[row], None if hidden is None else hidden[row], shared)
        if self._outbox:
            self._deliver(self._outbox)
            self._outbox = []

    def _take(self, row: int, choice: Choice, hidden: Tensor | None, shared: int) -> None:
        """hidden (width,) on the CPU; `shared` as above."""
        ticket = self._rows[row][0]
        if not math.isfinite(choice.logprob):
            self._outbox.append((ticket, _overflowed()))
            self._end(row)
            return
        measure = None if hidden is None else partial(ticket.recorder.add, choice.token, hidden, shared)
        piece = ticket.answer.add(choice.token, choice.logprob, len(self._rows), measure)
        if piece is not None:
            self._outbox.append((ticket, piece))
        if ticket.answer.finish is None and self._advance(ticket, choice.token):
            self._rows[row] = (ticket, choice.token)
        else:
            self._end(row)

    def _advance(self, ticket: Ticket, token: int) -> bool:
        """Whether the generation can go on after the token."""
        if ticket.rules is None:
            return True
        try:
            ticket.rules.advance(token)
        except Unreachable as error:
            self._outbox.append((ticket, error))
            return False
        return True

    def _end(self, row: int) -> None:
        """Free the row's slot; the last row takes its number, as in the batch."""
        self._rows[row][0].running = False
        self._rows[row] = self._rows[-1]
        self._rows.pop()
        self._batch.leave(row)

    def _lose(self, error: Exception) -> None:
        """All rows failed."""
        self._fail([ticket for ticket, _ in self._rows], error)
        self._rows.clear()
        self._batch.clear()

    def _fail(self, tickets: list[Ticket], error: Exception) -> None:
        log.error("%d generations failed in the model runtime", len(tickets), exc_info=error)
        for ticket in tickets:
            ticket.running = False
        self._deliver([(ticket, _translated(error)) for ticket in tickets])


def _draw(ticket: Ticket) -> Draw:
    return Draw(ticket.generation.sampling, ticket.key, ticket.answer.count)


def _recite(reader: Reader | None, reading: Reading, ticket: Ticket) -> list[Piece]:
    """The pieces that one more pass completes. Raises `Unreachable` when the model's numbers overflowed."""
    if reader is None or ticket.recital is None:
        raise TypeError("this model scores no texts")
    seen, pieces = reader.advance(reading), list[Piece]()
    likeliest = seen.likeliest(ticket.generation.top)
    for row, logprob in enumerate(seen.logprobs(reading.tokens)):
        if not math.isfinite(logprob):
            raise _overflowed()
        token, ended = reading.tokens[seen.first + row], seen.first + row + 1 == len(reading.tokens)
        record = b"" if seen.hidden is None else ticket.recorder.add(token, seen.hidden[row], 1, ended)
        piece = ticket.recital.add(logprob, likeliest[row], record)
        pieces += [piece] if piece is not None else []
    return [*pieces, *ticket.recital.end(likeliest[-1])] if reading.complete else pieces


def _overflowed() -> Unreachable:
    return Unreachable("the model's numbers overflowed", remedy=REMEDY)


def _translated(error: Exception) -> TallyError:
    if isinstance(error, TallyError):
        return error
    if isinstance(error, torch.OutOfMemoryError):
        return Busy("the model ran out of memory", retry_after_ms=RETRY_MS)
    reason = str(error).partition("\n")[0]
    return Unreachable(
        f"the model runtime failed: {type(error).__name__}: {reason}",
        remedy=REMEDY,
    )
