"""The keys and values of prompts that were prefilled lately, for prompts that begin with the same tokens.

Many clients send one long system prompt and a short question: only the first of them pays for the system prompt. What
a prompt may begin with is kept in whole blocks, the most recently used first, and never more than a fixed number of
tokens; the plan counts them. In float32 what follows differs by about 1e-6 from a prefill of the whole prompt.

Not protected here: that a prompt is answered sooner than others tells its sender that one with the same beginning was
asked lately. A prompt meets nothing of another but where both are the same.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor
from transformers.cache_utils import DynamicCache

from tallynet.protocol.units import TokenIds

BLOCK = 32
"""Tokens; what is shared counts in whole blocks."""

LEAST_TOKENS = 64
"""Less is computed faster than it is looked after."""

States = list[tuple[Tensor, Tensor]]
"""Keys and values of each layer, (1, heads, tokens, head size)."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a new prompt has in common with one that was kept."""

    tokens: int
    states: States
    """Of exactly these tokens."""

    def cache(self) -> DynamicCache:
        """A cache of its own for a prefill to go on from."""
        cache = DynamicCache()
        for layer, (keys, values) in enumerate(self.states):
            cache.update(keys, values, layer)
        return cache


class Prefixes:
    """Used by one thread."""

    def __init__(self, capacity: int) -> None:
        """`capacity` is the most tokens that are kept, of all prompts together; 0 keeps nothing."""
        self._capacity = capacity
        self._kept: OrderedDict[TokenIds, States] = OrderedDict()
        """The most recently used last."""

    @property
    def tokens(self) -> int:
        """How many are kept."""
        return sum(map(len, self._kept))

    @property
    def nbytes(self) -> int:
        return sum(keys.nbytes + values.nbytes for states in self._kept.values() for keys, values in states)

    def find(self, prompt: TokenIds) -> Beginning | None:
        """The longest beginning of the prompt that is kept; it leaves at least one token to compute."""
        shared, kept = max(((_shared(prompt, tokens), tokens) for tokens in self._kept), default=(0, ()))
        if shared < LEAST_TOKENS:
            return None
        self._kept.move_to_end(kept)
        return Beginning(shared, [(keys[:, :, :shared], values[:, :, :shared]) for keys, values in self._kept[kept]])

    def keep(self, prompt: TokenIds, states: States) -> None:
        """Keep a prompt's blocks; `states` hold at least its tokens, from the first on. They are copied.

        What is kept already and begins this prompt makes room for it, and then what was not used for longest.
        """
        tokens = prompt[: len(prompt) // BLOCK * BLOCK]
        if not LEAST_TOKENS <= len(tokens) <= self._capacity or self._covers(tokens):
            return
        for other in [other for other in self._kept if tokens[: len(other)] == other]:
            del self._kept[other]
        while self.tokens + len(tokens) > self._capacity:
            self._kept.popitem(last=False)
        size = len(tokens)
        self._kept[tokens] = [(keys[:, :, :size].clone(), values[:, :, :size].clone()) for keys, values in states]

    def clear(self) -> None:
        self._kept.clear()

    def _covers(self, tokens: TokenIds) -> bool:
        return any(other[: len(tokens)] == tokens for other in self._kept)


def _shared(prompt: TokenIds, kept: Sequence[int]) -> int:
    """Tokens of the whole blocks with which both begin, but not all of the prompt."""
    most = min(len(prompt) - 1, len(kept)) // BLOCK * BLOCK
    return next(
        (start for start in range(0, most, BLOCK) if prompt[start : start + BLOCK] != kept[start : start + BLOCK]),
        most,
    )
