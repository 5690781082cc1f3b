"""Hidden states into evidence, for one group of tokens at a time, so that decoding hardly notices.

With h_t the hidden states of a group of n tokens, of width D, and P the (D, 29) signs of its key:

    sketch = (1 / sqrt(D · n)) · (h_0 - h_1 + h_2 - …) P

The signs alternate from token to token, so whatever all tokens have in common cancels: a forger that knows a model's
average hidden state, or its few large channels, knows nothing. Arithmetic in float32; another machine's sum differs
in the last places. Source: spec chapter 3, "Evidence".
"""

import hashlib
import math

import torch
from torch import Tensor

from tallynet.engine.engine import Generation
from tallynet.engine.evidence import GROUP_TOKENS, SIGN_BYTES, SKETCH_ENTRIES, Record, SignKeys, sign_bytes
from tallynet.protocol.units import Digest

_BITS = torch.arange(8, dtype=torch.uint8)


class Recorder:
    """Makes the evidence of one generation as its tokens are chosen. Owned by the thread that decodes."""

    def __init__(self, generation: Generation) -> None:
        self._keys = SignKeys(generation.seed, generation.prompt)
        self._tokens: list[int] = []
        self._hidden: list[Tensor] = []
        self._rows = 0

    def add(self, token: int, hidden: Tensor, rows: int, ended: bool) -> bytes:
        """Take a token and the hidden state (width,) on the CPU that chose it, in a step of `rows`.

        Returns the record that this token completes: its group is full, or the answer `ended` with it; else nothing.
        """
        self._tokens.append(token)
        self._hidden.append(hidden)
        self._rows = max(self._rows, rows)
        if len(self._tokens) < GROUP_TOKENS and not ended:
            return b""
        record = measure(torch.stack(self._hidden), self._keys.after(self._tokens), self._rows)
        self._tokens, self._hidden, self._rows = [], [], 0
        return record.pack()


def measure(hidden: Tensor, key: Digest, rows: int) -> Record:
    """The record of a group: hidden (tokens, width) on the CPU, in the model's own dtype."""
    return Record.of(project(hidden, key).tolist(), rows, exact_hash(hidden))


def project(hidden: Tensor, key: Digest) -> Tensor:
    """The sketch of a group before it is rounded, (29,) float32; hidden (tokens, width) on the CPU."""
    count, width = hidden.shape
    values = hidden.float()
    alternating = values[0::2].sum(dim=0) - values[1::2].sum(dim=0)  # (width,)
    bits = _sign_bits(key, width)
    # with signs 2 · bit - 1, the sum of all channels is taken away once
    return (2 * (alternating @ bits) - alternating.sum()) / math.sqrt(width * count)


def exact_hash(hidden: Tensor) -> Digest:
    """SHA-256 of the bytes of hidden (tokens, width) on the CPU, whose numbers are little-endian."""
    return Digest(hashlib.sha256(hidden.contiguous().view(torch.uint8).numpy().tobytes()).digest())


def _sign_bits(key: Digest, width: int) -> Tensor:
    """(width, 29) float32, 1 for + and 0 for -."""
    packed = torch.frombuffer(bytearray(sign_bytes(key, width)), dtype=torch.uint8)
    bits = (packed[:, None] >> _BITS) & 1  # (4 · width, 8)
    return bits.view(width, 8 * SIGN_BYTES)[:, :SKETCH_ENTRIES].float()
