"""Generations to test with, and reading them to the end."""

from collections.abc import Sequence
from dataclasses import dataclass

from tallynet.engine import Engine, Finish, Generation, Piece
from tallynet.protocol.job import Sampling
from tallynet.protocol.units import Digest

MILLION = 1_000_000
PROMPT = (40, 41, 42, 43, 44, 45, 46, 47)


@dataclass(frozen=True)
class Read:
    """A whole answer."""

    pieces: list[Piece]

    @property
    def tokens(self) -> list[int]:
        return [token for piece in self.pieces for token in piece.tokens]

    @property
    def text(self) -> str:
        return "".join(piece.text for piece in self.pieces)

    @property
    def logprobs(self) -> list[float]:
        return [logprob for piece in self.pieces for logprob in piece.logprobs]

    @property
    def evidence(self) -> bytes:
        return b"".join(piece.evidence for piece in self.pieces)

    @property
    def finish(self) -> Finish | None:
        return self.pieces[-1].finish


def seed(number: int) -> Digest:
    return Digest(number.to_bytes(32))


def greedy(prompt: Sequence[int] = PROMPT, max_tokens: int = 24, stop: tuple[str, ...] = ()) -> Generation:
    return Generation(tuple(prompt), Sampling(max_tokens, stop=stop), seed(0))


def sampled(number: int, prompt: Sequence[int] = PROMPT, max_tokens: int = 24) -> Generation:
    return Generation(tuple(prompt), Sampling(max_tokens, MILLION), seed(number))


async def read(engine: Engine, generation: Generation) -> Read:
    async with engine.stream(generation) as pieces:
        return Read([piece async for piece in pieces])
