"""What a request adds to the choice of tokens: biases on logits, and a schema that forbids most of them.

    z' = z + bias,  and -inf where the schema's automaton does not let the token come next

takes the place of z in everything that follows, logprobs included, here and in a replay. Source: spec chapter 3.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from tallynet.engine.grammar import Guide
from tallynet.protocol.job import MILLION
from tallynet.protocol.request import Bias


class Rules:
    """Of one answer, from its first token on."""

    def __init__(self, biases: Sequence[Bias], guide: Guide | None) -> None:
        self._tokens = torch.tensor([bias.token for bias in biases], dtype=torch.int64)
        self._biases = torch.tensor([bias.millionths / MILLION for bias in biases], dtype=torch.float32)
        self._guide = guide

    def rule(self, logits: Tensor) -> None:
        """Change the logits of the next token in place; logits (vocabulary,) float32."""
        if len(self._tokens):
            logits[self._tokens.to(logits.device)] += self._biases.to(logits.device)
        if self._guide is not None:
            allowed = torch.frombuffer(bytearray(self._guide.allowed), dtype=torch.uint8)[: len(logits)]
            logits.masked_fill_((allowed == 0).to(logits.device), -torch.inf)

    def permit(self, token: int) -> bool:
        return self._guide is None or self._guide.permits(token)

    def advance(self, token: int) -> None:
        """The token was chosen. Raises `Unreachable` when the schema cannot be followed any further."""
        if self._guide is not None:
            self._guide.advance(token)


def rules_of(biases: Sequence[Bias], guide: Guide | None) -> Rules | None:
    """None where nothing is wished: then nothing is done for any token."""
    return Rules(biases, guide) if biases or guide is not None else None


def ruled(logits: Tensor, rules: Sequence[Rules | None]) -> Tensor:
    """The logits that rows are chosen from; logits (rows, vocabulary), one entry of `rules` for each row."""
    if not any(rules):
        return logits
    logits = logits.to(torch.float32, copy=True)
    for row, those in zip(logits, rules, strict=True):
        if those is not None:
            those.rule(row)
    return logits
