"""The parts that a server streams, as pieces: at most 16 tokens each, ended by the rules of every answer.

Stop strings are looked for here and not by the server, so that they end an answer alike wherever it comes from.
"""

from collections.abc import Callable, Iterator

from tallynet.engine.answer import PIECE_SECONDS, PIECE_TOKENS
from tallynet.engine.engine import Finish, Piece
from tallynet.engine.stops import StopScanner
from tallynet.engine.upstream.events import Part, malformed
from tallynet.protocol.chunk import MAX_CHUNK_TEXT

REASONS = {
    "stop": Finish.EOS,
    "eos": Finish.EOS,
    "eos_token": Finish.EOS,
    "length": Finish.LENGTH,
    "max_tokens": Finish.LENGTH,
}
"""A server's words for why it ended; it is asked for no stop string, so that `stop` can only mean the end token."""


class Reply:
    """Collects parts and cuts pieces. `limit` is the largest number of tokens, `clock` gives seconds."""

    def __init__(self, *, limit: int, stops: tuple[str, ...], clock: Callable[[], float]) -> None:
        self._limit = limit
        self._stops = StopScanner(stops)
        self._clock = clock
        self._tokens: list[int] = []
        self._logprobs: list[float] = []
        self._text = ""
        self._cut_at = float("-inf")
        self.count = 0
        """Tokens so far."""
        self.finish: Finish | None = None

    def add(self, part: Part) -> Iterator[Piece]:
        """Take the next part; the pieces that are due with it, the last one with `finish` set.

        Raises `Unreachable` for an end that has no name here: what a filter broke off, the model did not end.
        """
        taken = min(len(part.tokens), self._limit - self.count)
        for token, logprob in zip(part.tokens[:taken], part.logprobs, strict=False):
            if len(self._tokens) == PIECE_TOKENS:
                yield self._cut()
            self._tokens.append(token)
            self._logprobs.append(logprob)
            self.count += 1
        self._text += self._stops.feed(part.text)
        self.finish = self._end(part.reason)
        if self.finish is not None:
            self._text += self._stops.rest()
            yield self._cut()
        elif self._tokens and self._clock() - self._cut_at >= PIECE_SECONDS:
            yield self._cut()

    def _end(self, reason: str | None) -> Finish | None:
        if self._stops.found:
            return Finish.STOP
        if reason is not None:
            if reason not in REASONS:
                raise malformed("an end for a reason that is none of the model's")
            return REASONS[reason]
        return Finish.LENGTH if self.count >= self._limit else None

    def _cut(self) -> Piece:
        if len(self._text) > MAX_CHUNK_TEXT:
            raise malformed("more text than a chunk can hold")
        piece = Piece(tuple(self._tokens), self._text, tuple(self._logprobs), self.finish)
        self._tokens, self._logprobs, self._text = [], [], ""
        self._cut_at = self._clock()
        return piece
