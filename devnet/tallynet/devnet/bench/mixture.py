"""Requests of mixed lengths, always the same ones: what a node with many clients sees at one time."""

from dataclasses import dataclass
from random import Random

SEED = 4
SPREAD = 16
"""The longest request is about so many times as long as the shortest."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: token ids in, and how many come out."""

    prompt: tuple[int, ...]
    new: int


def mixed_requests(count: int, prompt_tokens: int, new_tokens: int, vocabulary: int) -> list[Asked]:
    """`count` requests with so many tokens in all."""
    random = Random(SEED)
    prompts, answers = _parts(random, count, prompt_tokens), _parts(random, count, new_tokens)
    return [
        Asked(tuple(random.randrange(vocabulary) for _ in range(length)), new)
        for length, new in zip(prompts, answers, strict=True)
    ]


def prefixed_requests(count: int, shared: int, own: int, vocabulary: int, *, same: bool) -> list[Asked]:
    """`count` requests for one token, each with `shared` tokens and then `own` ones; `same`: with the same ones."""
    random = Random(SEED + 1 + same)

    def draw(length: int) -> tuple[int, ...]:
        return tuple(random.randrange(vocabulary) for _ in range(length))

    first = draw(shared)
    return [Asked((first if same else draw(shared)) + draw(own), 1) for _ in range(count)]


def _parts(random: Random, count: int, total: int) -> list[int]:
    """Lengths of at least 1 whose sum is `total`."""
    drawn = [random.uniform(1, SPREAD) for _ in range(count)]
    parts = [max(1, int(total * part / sum(drawn))) for part in drawn]
    parts[-1] += total - sum(parts)
    return parts
