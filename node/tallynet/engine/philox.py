"""Philox4x32-10 and the sampler's noise in plain integers: the definition that every other version must equal.

Philox turns a counter and a key into random words without any state, so the noise of one token at one position
can be computed anywhere, in any order, alone or in a batch.

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011 (Random123).
`noise.py` is the same in tensor arithmetic.
"""

import hashlib
import math
import struct

from tallynet.protocol.units import Digest

MASK = 0xFFFF_FFFF
MULTIPLIER_0 = 0xD251_1F53
MULTIPLIER_1 = 0xCD9E_8D57
WEYL_0 = 0x9E37_79B9
WEYL_1 = 0xBB67_AE85
ROUNDS = 10

GUMBEL_TAG = b"tallynet/gumbel/1\0"

Words = tuple[int, int, int, int]
"""Four unsigned 32-bit words."""

NoiseKey = tuple[int, int, int, int]
"""The words (k0, k1, c2, c3): the Philox key, and the half of its counter that a generation does not change."""


def philox(counter: Words, key: tuple[int, int]) -> Words:
    """The four random words of a counter under a key; all words unsigned 32-bit."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(ROUNDS):
        product0, product1 = c0 * MULTIPLIER_0, c2 * MULTIPLIER_1
        c0, c1, c2, c3 = (product1 >> 32) ^ c1 ^ k0, product1 & MASK, (product0 >> 32) ^ c3 ^ k1, product0 & MASK
        k0, k1 = (k0 + WEYL_0) & MASK, (k1 + WEYL_1) & MASK
    return c0, c1, c2, c3


def noise_key(seed: Digest) -> NoiseKey:
    """The first 16 bytes of SHA-256(tag ‖ seed) as four big-endian words (k0, k1, c2, c3)."""
    k0, k1, c2, c3 = struct.unpack(">4I", hashlib.sha256(GUMBEL_TAG + seed).digest()[:16])
    return k0, k1, c2, c3


def uniform(word0: int, word1: int) -> float:
    """The middle of one of 2**52 equal parts of (0, 1): (2n + 1) / 2**53 with n = word0·2**20 + ⌊word1 / 2**12⌋.

    Exact in float64, never 0 and never 1.
    """
    return float(2 * (word0 << 20 | word1 >> 12) + 1) * 2.0**-53


def gumbel(key: NoiseKey, token: int, position: int) -> float:
    """The noise added to one token's score: -ln(-ln u), float64, between -3.61 and 36.74.

    `token` is the id, `position` the 0-based index among the generated tokens, both below 2**32. Bit-exact up to u;
    the logarithms of two machines may differ in the last place.
    """
    k0, k1, c2, c3 = key
    word0, word1, _, _ = philox((token, position, c2, c3), (k0, k1))
    return -math.log(-math.log(uniform(word0, word1)))
