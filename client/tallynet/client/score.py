"""A given text scored: how likely a model finds each of its tokens, with the answer that holds a node to it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypedDict, Unpack

from tallynet.client.answer import Answer
from tallynet.client.order import read_prompt
from tallynet.client.terms import Terms, read_terms
from tallynet.protocol.errors import NodeUnreachable
from tallynet.protocol.job import Task
from tallynet.protocol.request import Request, decode_request
from tallynet.protocol.score import SCORE_SAMPLING, Likely, ScoredToken, decode_score
from tallynet.protocol.units import Address, Digest, TokenIds

TOP = 1
"""One likely token for each place is enough to know which tokens the model would have chosen itself."""


class ScoreOptions(TypedDict, total=False):
    """The options of `score`: those of `AskOptions` that do not sample."""

    deadline_seconds: float
    max_price_wei: int | None
    parents: Sequence[Digest]
    node: Address | None
    nodes: Sequence[Address]
    audit_consent: bool


@dataclass(frozen=True, slots=True)
class Score:
    """A text's tokens and what the model thinks of them, every part of it verified but for the numbers themselves.

    Not checked: that the tokens and logprobs are the model's. A replay of the bundle finds that out.
    """

    tokens: tuple[ScoredToken, ...] = field(repr=False)
    """All that have something before them."""
    after: tuple[Likely, ...] = field(repr=False)
    """The likeliest tokens to follow the text; empty when none were asked for."""
    text: str = field(repr=False)
    """As it was asked about; for token ids the text of the scored ones."""
    answer: Answer = field(repr=False)
    """With the receipt, the price and the bundle."""

    @property
    def logprobs(self) -> tuple[float, ...]:
        """Natural log, one per scored token."""
        return tuple(token.logprob for token in self.tokens)

    @property
    def total(self) -> float:
        """The log of the probability of the whole text after its first token."""
        return math.fsum(self.logprobs)

    @property
    def perplexity(self) -> float:
        """e to the mean of the negative logprobs: 1 for a text of which the model was certain; may be infinite."""
        mean = -self.total / len(self.tokens)
        return math.exp(mean) if mean < 700 else math.inf

    @property
    def greedy(self) -> bool | None:
        """Whether the model itself would have written this text; None when no likely tokens were asked for."""
        said = [token.greedy for token in self.tokens]
        return None if None in said else all(said)

    @property
    def context(self) -> str | None:
        """What of the text stands before the first scored token.

        None where the tokens' texts, joined, are not the end of the text: the tokenizer changes texts, or the node
        scored others.
        """
        scored = "".join(token.text for token in self.tokens)
        return self.text.removesuffix(scored) if self.text.endswith(scored) else None

    @property
    def offsets(self) -> tuple[int, ...]:
        """Where each scored token begins in `text`, in characters; with `context` None, as if it were empty."""
        at, found = len(self.context or ""), []
        for token in self.tokens:
            found.append(at)
            at += len(token.text)
        return tuple(found)

    def since(self, character: int) -> tuple[ScoredToken, ...]:
        """The tokens that begin at this character of the text or later: what a continuation is judged by."""
        return tuple(token for token, at in zip(self.tokens, self.offsets, strict=True) if at >= character)


def score_request(text: str | TokenIds, top: int = TOP) -> Request:
    """Raises `InvalidJob` for what no node could read."""
    if isinstance(text, str):
        return read_prompt(Request(text=text, top=top))
    return read_prompt(Request(tokens=tuple(text), top=top))


def score_terms(**options: Unpack[ScoreOptions]) -> Terms:
    """Raises `InvalidJob` for numbers that no job can carry."""
    terms = read_terms(max_tokens=SCORE_SAMPLING.max_tokens, **options)
    return replace(terms, task=Task.SCORE)


def read_score(answer: Answer) -> Score:
    """The score in a verified answer. Raises `NodeUnreachable` for one that was cut short."""
    if not answer.status.finished:
        raise NodeUnreachable(f"The node ended the job with {answer.status.name.lower()} before all was scored.")
    request = decode_request(answer.order.request)
    tokens, after = decode_score(request, answer.prompt, answer.chunks)
    return Score(tokens, after, request.text or answer.text, answer)
