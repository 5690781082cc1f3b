"""(3) A score as an answer: the tokens of a given text, how likely the model finds each, and what it finds likelier.

The answer's tokens are the text's own, its logprobs those of the text read once, at temperature 1 and unfiltered. What
else is told of each place rides in the evidence of the token's chunk: how many characters of the chunk's text are the
token's, and the likeliest tokens there. Source: spec chapter 3, "Scores".

Not protected here: whether the logprobs are the model's. That is what a replay finds out.
"""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from tallynet.protocol.chunk import ChunkBody
from tallynet.protocol.errors import InvalidChunk, InvalidJob
from tallynet.protocol.job import MAX_TOKENS, Sampling
from tallynet.protocol.request import Request
from tallynet.protocol.units import TokenIds

SCORE_SAMPLING = Sampling(max_tokens=MAX_TOKENS)
"""What a scoring job carries, since it samples nothing."""

MAX_LIKELY_BYTES = 64
"""Of the text of a likely token, in UTF-8; what is longer is cut at a character."""

RECORD_BYTES = 64
"""Records of hidden states follow the marks, each this long."""

_CHARACTERS = struct.Struct(">H")
_LIKELY = struct.Struct(">IfB")


@dataclass(frozen=True, slots=True)
class Likely:
    """A token that could stand at a place."""

    token: int
    logprob: float
    """Natural log, a float32."""
    text: str
    """What it would add to the text; up to MAX_LIKELY_BYTES of it."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What is told of one token besides its logprob."""

    characters: int
    """Of the chunk's text that are the token's; 0 for one that only begins a character."""
    likeliest: tuple[Likely, ...]
    """The likeliest tokens of its place, the likeliest first; as many as were asked for."""

    def pack(self) -> bytes:
        return _CHARACTERS.pack(self.characters) + pack_likeliest(self.likeliest)


@dataclass(frozen=True, slots=True)
class Marked:
    """The evidence of one chunk, read."""

    marks: tuple[Mark, ...]
    """One per token."""
    after: tuple[Likely, ...]
    """The likeliest tokens after the text; empty but in the last chunk."""
    records: bytes
    """Of hidden states, for a replay."""


@dataclass(frozen=True, slots=True)
class ScoredToken:
    """One token of the text."""

    token: int
    text: str
    logprob: float
    """Natural log of its probability after everything before it."""
    likeliest: tuple[Likely, ...]

    @property
    def greedy(self) -> bool | None:
        """Whether the model itself would have chosen it; None where no likely tokens were asked for."""
        return self.token == self.likeliest[0].token if self.likeliest else None


def split_text(tokens: TokenIds) -> tuple[TokenIds, TokenIds]:
    """What the first score is conditioned on, and the tokens that are scored. Raises `InvalidJob`.

    The first token, which is the tokenizer's own where it puts one before every text, has nothing before it and so no
    score.
    """
    if not 2 <= len(tokens) <= MAX_TOKENS + 1:
        raise InvalidJob(
            f"the text has {len(tokens)} tokens; 2 to {MAX_TOKENS + 1} can be scored, all but the first",
            remedy="Write more, or score a long text in parts.",
        )
    return tokens[:1], tokens[1:]


def cut_text(text: str) -> str:
    """As much as fits the text of a likely token."""
    return text.encode()[:MAX_LIKELY_BYTES].decode(errors="ignore")


def pack_likeliest(likeliest: Sequence[Likely]) -> bytes:
    """`u8 count ‖ (u32 token ‖ f32 logprob ‖ u8 bytes ‖ text) …`. Raises ValueError for a text that is too long."""
    parts = [bytes([len(likeliest)])]
    for likely in likeliest:
        text = likely.text.encode()
        if len(text) > MAX_LIKELY_BYTES:
            raise ValueError(f"the text of a likely token has {len(text)} bytes, more than {MAX_LIKELY_BYTES}")
        parts.append(_LIKELY.pack(likely.token, likely.logprob, len(text)) + text)
    return b"".join(parts)


def decode_score(
    request: Request, prompt: TokenIds, chunks: Sequence[ChunkBody], *, whole: bool = True
) -> tuple[tuple[ScoredToken, ...], tuple[Likely, ...]]:
    """The scored tokens of an answer to `request`, and the likeliest after them. Raises `InvalidChunk`.

    With `whole` false the answer was cut short: it may lack any of its end, and what follows the text.
    """
    top = request.top
    # (1) every chunk holds tokens, and there is one
    if (whole and not chunks) or not all(body.tokens for body in chunks):
        raise InvalidChunk(f"a score came in {len(chunks)} chunks, or in one without tokens", check=1)
    tokens, after = list[ScoredToken](), tuple[Likely, ...]()
    for index, body in enumerate(chunks):
        read, marked = read_tokens(body)
        # (5) what may follow the text is told once, at its end
        last = whole and index == len(chunks) - 1
        if bool(marked.after) != (bool(top) and last):
            raise InvalidChunk(f"chunk {index} of {len(chunks)} tells {len(marked.after)} tokens to follow", check=5)
        for one in read:
            _check_likeliest(one.likeliest, top)
            _check_place(one)
        tokens += read
        after = marked.after
    _check_likeliest(after, top if whole else 0)
    told = (*prompt, *(scored.token for scored in tokens))
    # (7) they are the tokens that the request names, if it names any
    # (whether they are those of its text only a replay knows)
    if request.tokens and told != request.tokens[: len(request.tokens) if whole else len(told)]:
        raise InvalidChunk(f"{len(told)} tokens are scored, the request names {len(request.tokens)} others", check=7)
    return tuple(tokens), after


def read_marks(body: ChunkBody) -> Marked:
    """The evidence of a chunk of a score. Raises `InvalidChunk`."""
    reader = _Reader(body.evidence)
    marks = tuple(Mark(reader.characters(), reader.likeliest()) for _ in body.tokens)
    marked = Marked(marks, reader.likeliest(), reader.rest())
    told = sum(mark.characters for mark in marks)
    # (3) the characters of its tokens are those of its text
    if told != len(body.text):
        raise InvalidChunk(f"the tokens of a chunk have {told} characters, its text has {len(body.text)}", check=3)
    return marked


def read_tokens(body: ChunkBody) -> tuple[list[ScoredToken], Marked]:
    """The scored tokens of one chunk, and its evidence. Raises `InvalidChunk`."""
    marked, at, tokens = read_marks(body), 0, []
    for token, logprob, mark in zip(body.tokens, body.logprobs, marked.marks, strict=True):
        tokens.append(ScoredToken(token, body.text[at : at + mark.characters], logprob, mark.likeliest))
        at += mark.characters
    return tokens, marked


def _check_likeliest(likeliest: Sequence[Likely], top: int) -> None:
    logprobs = [likely.logprob for likely in likeliest]
    finite = all(math.isfinite(value) and value <= 0 for value in logprobs)
    different = len({likely.token for likely in likeliest}) == len(likeliest)
    # (4) as many likely tokens are told as were asked for, different ones, the likeliest first
    # (of a smaller vocabulary all; whether these are all only a replay knows)
    if bool(likeliest) != bool(top) or len(likeliest) > top or not finite or not different:
        raise InvalidChunk(f"{len(likeliest)} likely tokens of {top}, with the logprobs {logprobs}", check=4)
    if sorted(logprobs, reverse=True) != logprobs:
        raise InvalidChunk(f"likely tokens have the logprobs {logprobs}, not the largest first", check=4)


def _check_place(one: ScoredToken) -> None:
    told = {likely.token: likely.logprob for likely in one.likeliest}
    most = told.get(one.token, min(told.values(), default=0.0))
    # (6) a token of the text is as likely as it is said to be among the likeliest, or no likelier than the last of them
    if one.logprob > most or (one.token in told and one.logprob < most):
        raise InvalidChunk(f"token {one.token} has the logprob {one.logprob}, its place's likeliest {told}", check=6)


class _Reader:
    """Evidence from its first byte to its last."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def characters(self) -> int:
        return int.from_bytes(self._take(_CHARACTERS.size))

    def likeliest(self) -> tuple[Likely, ...]:
        (count,) = self._take(1)
        return tuple(self._likely() for _ in range(count))

    def rest(self) -> bytes:
        # (2) it is a mark for each token, what follows the text, and whole records
        if (len(self._data) - self._at) % RECORD_BYTES:
            raise InvalidChunk(f"{len(self._data) - self._at} bytes after the marks are no whole records", check=2)
        return self._data[self._at :]

    def _likely(self) -> Likely:
        token, logprob, length = _LIKELY.unpack(self._take(_LIKELY.size))
        try:
            return Likely(token, logprob, self._take(length).decode())
        except UnicodeDecodeError as error:
            raise InvalidChunk(f"the text of a likely token is no UTF-8: {error}", check=2) from error

    def _take(self, size: int) -> bytes:
        taken = self._data[self._at : self._at + size]
        self._at += size
        if len(taken) < size:
            raise InvalidChunk(f"the marks of a chunk do not end within its {len(self._data)} bytes", check=2)
        return taken
