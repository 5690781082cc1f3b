"""A given text on its way to the reader: its tokens with what the model thinks of each, cut into pieces.

Knows nothing of models and threads, like `answer.py` for generations; a replay tells the same pieces from the same
numbers, to the byte.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tallynet.engine.answer import PIECE_TOKENS
from tallynet.engine.detokenizer import Decode, Detokenizer
from tallynet.engine.engine import Finish, Piece
from tallynet.protocol.chunk import MAX_CHUNK_EVIDENCE
from tallynet.protocol.score import Likely, Mark, cut_text, pack_likeliest
from tallynet.protocol.units import TokenIds

NEIGHBOURS = 4
"""Tokens before a place that its likely tokens are decoded with: their text may depend on them."""

Guess = tuple[int, float]
"""A token and its logprob."""


@dataclass(slots=True)
class _Place:
    """One token, until its piece is cut."""

    token: int
    text: str
    logprob: float
    mark: bytes
    record: bytes

    @property
    def size(self) -> int:
        return len(self.mark) + len(self.record)


@dataclass
class Recital:
    """Takes what was seen of each token in turn, and at last of the place after them."""

    prompt: TokenIds
    tokens: TokenIds
    decode: Decode
    count: int = 0
    """Tokens so far."""
    _waiting: list[_Place] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._text_of = Detokenizer(self.decode)
        for token in self.prompt:
            self._text_of.add(token)

    def add(self, logprob: float, likeliest: Sequence[Guess], record: bytes = b"") -> Piece | None:
        """The next token was seen; returns the piece of those before it when that is full."""
        token = self.tokens[self.count]
        text = self._text_of.add(token)
        if self.count + 1 == len(self.tokens):
            text += self._text_of.rest()
        mark = Mark(len(text), self._tell(likeliest, {token: text})).pack()
        self.count += 1
        place = _Place(token, text, logprob, mark, record)
        piece = None if self._fits(place.size) else self._cut()
        self._waiting.append(place)
        return piece

    def end(self, likeliest: Sequence[Guess]) -> list[Piece]:
        """The last piece, and one before it where both do not fit one; `likeliest` may follow the text."""
        after = pack_likeliest(self._tell(likeliest, {}))
        pieces = []
        if not self._fits(len(after) - 1, tokens=0):
            last = self._waiting.pop()
            pieces.append(self._cut())
            self._waiting.append(last)
        pieces.append(self._cut(after, Finish.EOS))
        return pieces

    def _fits(self, size: int, tokens: int = 1) -> bool:
        """Whether so much more fits the piece, beside the one byte that says that nothing follows."""
        used = sum(place.size for place in self._waiting) + 1
        return len(self._waiting) + tokens <= PIECE_TOKENS and used + size <= MAX_CHUNK_EVIDENCE

    def _tell(self, likeliest: Sequence[Guess], known: dict[int, str]) -> tuple[Likely, ...]:
        before = (*self.prompt, *self.tokens[: self.count])[-NEIGHBOURS:]
        begun = self.decode(before)
        texts = (
            known[token] if token in known else self.decode((*before, token))[len(begun) :] for token, _ in likeliest
        )
        return tuple(
            Likely(token, logprob, cut_text(text)) for (token, logprob), text in zip(likeliest, texts, strict=True)
        )

    def _cut(self, after: bytes = b"\0", finish: Finish | None = None) -> Piece:
        places, self._waiting = self._waiting, []
        marks = b"".join(place.mark for place in places)
        return Piece(
            tuple(place.token for place in places),
            "".join(place.text for place in places),
            tuple(place.logprob for place in places),
            finish,
            marks + after + b"".join(place.record for place in places),
        )
