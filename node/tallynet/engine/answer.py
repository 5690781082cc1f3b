"""One generation's output as it grows: tokens become text, text meets its stop strings, pieces are cut for the reader.

Knows nothing of models and threads; both engines use it, so both end an answer by the same rules:

- a token of the end set ends the answer (EOS); it is committed like every token but has no text;
- else a complete stop string ends it (STOP); the text ends before the stop string, the tokens stay;
- else the limit ends it (LENGTH).
"""

from collections.abc import Callable

from tallynet.engine.detokenizer import Decode, Detokenizer
from tallynet.engine.engine import Finish, Piece
from tallynet.engine.stops import StopScanner

PIECE_TOKENS = 16
"""Most tokens of a piece: what one signed chunk holds (spec chapter 3)."""

PIECE_SECONDS = 0.04
"""How long tokens wait to be a piece, for each generation that runs; the first token never waits."""

LONGEST_WAIT_SECONDS = 0.5
"""Bound of that wait. A piece costs its node a signature and a message whatever its size: many generations
with small pieces would take the processor from the decoding they wait for."""

Measure = Callable[[bool], bytes]
"""Given whether the answer ended with this token: the evidence that the token completes, if any."""


class Answer:
    """Collects tokens and cuts pieces. `limit` is the largest number of tokens, `clock` gives seconds."""

    def __init__(
        self,
        *,
        limit: int,
        stops: tuple[str, ...],
        ends: frozenset[int],
        decode: Decode,
        clock: Callable[[], float],
    ) -> None:
        self._limit = limit
        self._ends = ends
        self._clock = clock
        self._text_of = Detokenizer(decode)
        self._stops = StopScanner(stops)
        self._tokens: list[int] = []
        self._logprobs: list[float] = []
        self._text = ""
        self._evidence = b""
        self._cut_at = float("-inf")
        self.count = 0
        """Tokens so far."""
        self.finish: Finish | None = None

    def add(self, token: int, logprob: float, running: int = 1, measure: Measure | None = None) -> Piece | None:
        """Take the next token; returns a piece when one is due, and always when `finish` becomes set.

        `running` is how many generations share the engine now. What `measure` says rides in this token's piece.
        """
        self.count += 1
        self._tokens.append(token)
        self._logprobs.append(logprob)
        self._text += self._read(token)
        if measure is not None:
            self._evidence += measure(self.finish is not None)
        return self._cut() if self._due(running) else None

    def _read(self, token: int) -> str:
        """The text to show now; sets `finish`."""
        ended = token in self._ends
        last = ended or self.count == self._limit
        text = "" if ended else self._text_of.add(token)
        shown = self._stops.feed(text + self._text_of.rest() if last else text)
        if ended:
            self.finish = Finish.EOS
        elif self._stops.found:
            self.finish = Finish.STOP
        elif last:
            self.finish = Finish.LENGTH
        return shown + self._stops.rest() if last else shown

    def _due(self, running: int) -> bool:
        full = len(self._tokens) == PIECE_TOKENS
        wait = min(PIECE_SECONDS * running, LONGEST_WAIT_SECONDS)
        return self.finish is not None or full or self._clock() - self._cut_at >= wait

    def _cut(self) -> Piece:
        piece = Piece(tuple(self._tokens), self._text, tuple(self._logprobs), self.finish, self._evidence)
        self._tokens, self._logprobs, self._text, self._evidence = [], [], "", b""
        self._cut_at = self._clock()
        return piece
