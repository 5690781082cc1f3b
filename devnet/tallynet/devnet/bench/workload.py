"""What is asked in every round, of the bare engine and through the network alike."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from msgspec import Struct

from tallynet.protocol.job import Sampling
from tallynet.protocol.request import Message, Request

MAX_TOKENS = 200
"""Long enough that decoding outweighs everything that happens once per answer."""

TEMPERATURE = 1.0
"""With the seeded sampler at work, as most users have it."""

ANIMALS = (
    "fox", "cow", "cat", "dog", "hen", "owl", "pig", "bear", "duck", "frog", "goat", "lion", "mouse", "horse",
    "sheep", "tiger",
)  # fmt: skip
"""One for each client."""

SAMPLING = Sampling(max_tokens=MAX_TOKENS, temperature_millionths=round(TEMPERATURE * 1_000_000))


class Round(Struct, frozen=True):
    """So many clients at the same time, each with so many answers one after the other."""

    clients: int
    answers: int


class Outcome(Struct, frozen=True):
    """What came of a round."""

    tokens: int
    """Completion tokens of all answers."""
    chunks: int
    seconds: float
    """From the first question to the end of the last answer, its receipt included where there is one."""
    first_token_seconds: tuple[float, ...]
    """One for each answer."""

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / self.seconds


@dataclass(frozen=True, slots=True)
class Told:
    """One answer."""

    tokens: int
    chunks: int
    first_token_seconds: float


Player = Callable[[Round], Awaitable[Outcome]]
"""Plays a round, wherever that happens."""


def request(client: int) -> Request:
    """What client number `client` asks."""
    return Request(messages=(Message("user", f"Tell me a long story about a {ANIMALS[client % len(ANIMALS)]}."),))


def tally(answers: list[Told], seconds: float) -> Outcome:
    return Outcome(
        tokens=sum(told.tokens for told in answers),
        chunks=sum(told.chunks for told in answers),
        seconds=seconds,
        first_token_seconds=tuple(told.first_token_seconds for told in answers),
    )
