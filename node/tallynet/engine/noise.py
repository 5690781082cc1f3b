"""Philox4x32-10 and the sampler's noise in torch int64 arithmetic: `philox.py` for many tokens at once.

A product of two 32-bit words fills 64 bits; as signed numbers it wraps, but its bits are right on every device, so
the words below are those of the reference, exactly.
"""

import torch
from torch import Tensor

from tallynet.engine.philox import MASK, MULTIPLIER_0, MULTIPLIER_1, ROUNDS, WEYL_0, WEYL_1

BLOCK = 32_768
"""Tokens computed together on a CPU: their words stay in its cache."""


def philox_words(counter: tuple[Tensor, Tensor, Tensor, Tensor], key: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """The first two random words of each counter under its key; int64 tensors that broadcast together."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(ROUNDS):
        product0, product1 = c0 * MULTIPLIER_0, c2 * MULTIPLIER_1
        c0, c2 = (_high(product1) ^ c1).bitwise_xor_(k0), (_high(product0) ^ c3).bitwise_xor_(k1)
        c1, c3 = product1.bitwise_and_(MASK), product0.bitwise_and_(MASK)
        k0, k1 = (k0 + WEYL_0) & MASK, (k1 + WEYL_1) & MASK
    return c0, c1


def gumbel(keys: Tensor, tokens: Tensor, positions: Tensor) -> Tensor:
    """The noise of each token, (n,) float64; tokens (n,), keys (4, n) or (4, 1), positions (n,) or (1,), all int64."""
    if tokens.device.type != "cpu" or len(tokens) <= BLOCK:
        return _gumbel(keys, tokens, positions)
    blocks = [
        _gumbel(_part(keys, start), tokens[start : start + BLOCK], _part(positions, start))
        for start in range(0, len(tokens), BLOCK)
    ]
    return torch.cat(blocks)


def _gumbel(keys: Tensor, tokens: Tensor, positions: Tensor) -> Tensor:
    word0, word1 = philox_words((tokens, positions, keys[2], keys[3]), (keys[0], keys[1]))
    odd = ((word0 << 20 | word1 >> 12) << 1) + 1
    uniform = odd.to(torch.float64).mul_(2.0**-53)
    return uniform.log_().neg_().log_().neg_()


def _part(values: Tensor, start: int) -> Tensor:
    return values if values.shape[-1] == 1 else values[..., start : start + BLOCK]


def _high(product: Tensor) -> Tensor:
    """The upper 32 of 64 bits; the shift copies the sign, the mask takes it away."""
    return (product >> 32).bitwise_and_(MASK)
