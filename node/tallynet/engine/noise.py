"""Philox4x32-10 and the sampler's noise for many tokens at once: `philox.py` in torch and, on a CPU, in numpy.

Both compute in 64 bits. A product of two 32-bit words fills them; torch has no unsigned ones, so there it is a signed
number that wraps, but its bits are right on every device. The words are those of the reference, exactly. On a CPU numpy
is used: its calls cost less, and it writes into arrays that it has already.
"""

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tallynet.engine.philox import MASK, MULTIPLIER_0, MULTIPLIER_1, ROUNDS, WEYL_0, WEYL_1

Words = npt.NDArray[np.uint64]
"""Unsigned 32-bit words, each in 64 bits."""

BLOCK = 16_384
"""Tokens computed together on a CPU: their words stay in its cache."""

_MASK, _WORD = np.uint64(MASK), np.uint64(32)
_MULTIPLIER_0, _MULTIPLIER_1 = np.uint64(MULTIPLIER_0), np.uint64(MULTIPLIER_1)
_WEYL_0, _WEYL_1 = np.uint64(WEYL_0), np.uint64(WEYL_1)


def gumbel(keys: Tensor, tokens: Tensor, positions: Tensor) -> Tensor:
    """The noise of each token, float64; tokens, positions and the words of `keys`, (4, …), are int64 and broadcast."""
    if tokens.device.type == "cpu":
        odd = _on_cpu(keys, tokens, positions)
    else:
        word0, word1 = philox_words((tokens, positions, keys[2], keys[3]), (keys[0], keys[1]))
        odd = ((word0 << 20 | word1 >> 12) << 1) + 1
    uniform = odd.to(torch.float64).mul_(2.0**-53)
    return uniform.log_().neg_().log_().neg_()


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


def philox_words_on_cpu(counter: tuple[Words, Words, Words, Words], key: tuple[Words, Words]) -> tuple[Words, Words]:
    """The same of arrays."""
    shape = np.broadcast_shapes(*(words.shape for words in (*counter, *key)))
    c0, c1, c2, c3 = (np.broadcast_to(words, shape).copy() for words in counter)
    (k0, k1), product0, product1 = key, np.empty_like(c0), np.empty_like(c0)
    for _ in range(ROUNDS):
        np.multiply(c0, _MULTIPLIER_0, out=product0)
        np.multiply(c2, _MULTIPLIER_1, out=product1)
        _mix(product1, c1, k0, out=c0)
        _mix(product0, c3, k1, out=c2)
        np.bitwise_and(product1, _MASK, out=c1)
        np.bitwise_and(product0, _MASK, out=c3)
        k0, k1 = (k0 + _WEYL_0) & _MASK, (k1 + _WEYL_1) & _MASK
    return c0, c1


def _on_cpu(keys: Tensor, tokens: Tensor, positions: Tensor) -> Tensor:
    """2n + 1, by which spec chapter 3 defines the uniform number, of each token, a block of columns after the other."""
    words = [tensor.numpy().astype(np.uint64) for tensor in (tokens, positions, *keys)]
    *rows, columns = np.broadcast_shapes(*(array.shape for array in words))
    odd, width = np.empty((*rows, columns), np.uint64), max(1, BLOCK // max(1, math.prod(rows)))
    for start in range(0, columns, width):
        block = slice(start, start + width)
        ids, where, k0, k1, c2, c3 = (_part(array, block) for array in words)
        word0, word1 = philox_words_on_cpu((ids, where, c2, c3), (k0, k1))
        odd[..., block] = (word0 << np.uint64(21)) | (word1 >> np.uint64(12) << np.uint64(1)) | np.uint64(1)
    return torch.from_numpy(odd.view(np.int64))


def _mix(product: Words, other: Words, key: Words, *, out: Words) -> None:
    np.right_shift(product, _WORD, out=out)
    np.bitwise_xor(out, other, out=out)
    np.bitwise_xor(out, key, out=out)


def _part(words: Words, block: slice) -> Words:
    return words if words.shape[-1] == 1 else words[..., block]


def _high(product: Tensor) -> Tensor:
    """The upper 32 of 64 bits; the shift copies the sign, the mask takes it away."""
    return (product >> 32).bitwise_and_(MASK)
