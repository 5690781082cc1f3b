"""Vectors of the sampler: random words, noise, and whole choices, by the chapter's rules in plain Python."""

import math
from collections.abc import Sequence
from typing import Any

from tallynet.engine.philox import gumbel, noise_key, philox, uniform
from tallynet.protocol.commitment import seed
from tallynet.protocol.job import MILLION, Sampling
from tallynet.protocol.units import Digest
from tests.protocol.examples import digest
from tests.protocol.json_form import write

ONES = 0xFFFF_FFFF
WORDS = (
    ((0, 0, 0, 0), (0, 0)),
    ((ONES, ONES, ONES, ONES), (ONES, ONES)),
    ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0)),
    ((1, 0, 0, 0), (0, 0)),
    ((0, 1, 2, 3), (4, 5)),
)
SEED = seed(digest("job"))
LOGITS = (1.5, -0.25, 3.0, 3.0, 0.0, 2.75, -7.5, 2.5, 1.25, -30.0)
"""All exact in float32; two are equal."""
SAMPLINGS = (
    Sampling(1),
    Sampling(1, temperature_millionths=MILLION),
    Sampling(1, temperature_millionths=3 * MILLION),
    Sampling(1, temperature_millionths=10 * MILLION, top_k=4),
    Sampling(1, temperature_millionths=10 * MILLION, top_k=1),
    Sampling(1, temperature_millionths=2 * MILLION, top_p_millionths=600_000),
    Sampling(1, temperature_millionths=2 * MILLION, top_k=6, top_p_millionths=800_000),
    Sampling(1, temperature_millionths=1, top_p_millionths=1),
)


def sampling_cases() -> dict[str, Any]:
    return {
        "philox": [
            {"counter": list(counter), "key": list(key), "words": list(philox(counter, key))} for counter, key in WORDS
        ],
        "noise": {
            "seed": write(SEED),
            "key": list(noise_key(SEED)),
            "values": [noise(token, position) for token in (0, 1, 31_999, ONES) for position in (0, 1, 8191)],
        },
        "choices": {
            "seed": write(SEED),
            "logits": list(LOGITS),
            "cases": [
                {"sampling": write(sampling), "tokens": [choose(LOGITS, sampling, SEED, at) for at in range(12)]}
                for sampling in SAMPLINGS
            ],
        },
    }  # fmt: skip


def noise(token: int, position: int) -> dict[str, Any]:
    k0, k1, c2, c3 = noise_key(SEED)
    word0, word1, *_ = philox((token, position, c2, c3), (k0, k1))
    value = gumbel(noise_key(SEED), token, position)
    return {"token": token, "position": position, "uniform": uniform(word0, word1), "gumbel": round(value, 12)}


def choose(logits: Sequence[float], sampling: Sampling, seed: Digest, position: int) -> int:
    """Rules 1 to 4 of chapter 3, "Choosing a token"."""
    ranked = sorted(range(len(logits)), key=lambda token: (-logits[token], token))
    if sampling.temperature_millionths == 0:
        return ranked[0]
    temperature = sampling.temperature_millionths / MILLION
    kept = nucleus(ranked[: sampling.top_k or len(ranked)], [z / temperature for z in logits], sampling)
    key = noise_key(seed)
    return max(kept, key=lambda token: (logits[token] / temperature + gumbel(key, token, position), -token))


def nucleus(ranked: Sequence[int], scaled: Sequence[float], sampling: Sampling) -> Sequence[int]:
    if sampling.top_p_millionths == MILLION:
        return ranked
    weights = [math.exp(scaled[token] - scaled[ranked[0]]) for token in ranked]
    reached = 0.0
    for count, weight in enumerate(weights, 1):
        reached += weight / math.fsum(weights)
        if reached >= sampling.top_p_millionths / MILLION:
            return ranked[:count]
    return ranked
