"""How likely each token was, as a coloured text: warm where the model was surprised."""

import math
from collections.abc import Sequence

from tallynet.client.answer import Answer
from tallynet.client.score import Score
from tallynet.console.heat import STEPS, HeatMap, Piece
from tallynet.console.page import shown
from tallynet.protocol.chunk import ChunkBody
from tallynet.protocol.score import Likely
from tallynet.protocol.units import prefixed

LEVELS = (0.5, 0.2, 0.05, 0.01, 0.001)
"""Probabilities below which a token is one step warmer."""


def heat_of(logprob: float) -> float:
    """0 for a likely token, 1 for one below the last level."""
    step = sum(logprob < math.log(level) for level in LEVELS)
    return step / STEPS


def score_map(score: Score) -> HeatMap:
    """The whole text; what has nothing before it has no colour."""
    context = (Piece(score.context, 0.0, "nothing stands before it"),) if score.context else ()
    pieces = (
        Piece(token.text, heat_of(token.logprob), _note(token.logprob, token.likeliest)) for token in score.tokens
    )
    facts = (
        ("tokens", str(len(score.tokens))),
        ("log-probability", f"{score.total:.6g}"),
        ("perplexity", f"{score.perplexity:.6g}"),
        *_origin(score.answer),
    )
    return HeatMap(f"How likely {score.answer.model_name} finds this text", (*context, *pieces), legend(), facts)


def answer_map(answer: Answer) -> HeatMap:
    """An answer as it was streamed, piece by piece: only the model's tokenizer knows which of a piece's characters are
    which token's, so the mean of its tokens' logprobs gives the piece its colour."""
    pieces = [_streamed(body) for body in answer.chunks]
    facts = (("log-probability", f"{math.fsum(answer.logprobs):.6g}"), *_origin(answer))
    return HeatMap(f"How sure {answer.model_name} was of its answer", pieces, legend(), facts)


def legend() -> tuple[Piece, ...]:
    words = [f"≥ {LEVELS[0]:.0%}", *(f"< {level:.3g}" for level in LEVELS)]
    return tuple(Piece(f" {word} ", step / STEPS) for step, word in enumerate(words))


def probability(logprob: float) -> str:
    """For people: `42 %`, `0.03 %`."""
    return f"{100 * math.exp(logprob):.2g} %"


def _streamed(body: ChunkBody) -> Piece:
    if not body.tokens:
        return Piece(body.text, 0.0)
    each = ", ".join(probability(logprob) for logprob in body.logprobs)
    mean = math.fsum(body.logprobs) / len(body.logprobs)
    return Piece(body.text, heat_of(mean), f"{len(body.tokens)} tokens: {each}")


def _note(logprob: float, likeliest: Sequence[Likely]) -> str:
    others = ", ".join(f"{shown(likely.text)!r} {probability(likely.logprob)}" for likely in likeliest)
    return f"{probability(logprob)} (log {logprob:.4g})" + (f"; likeliest: {others}" if others else "")


def _origin(answer: Answer) -> tuple[tuple[str, str], ...]:
    return (
        ("model", f"{answer.model_name} {prefixed(answer.model)}"),
        ("node", prefixed(answer.node)),
        ("job", prefixed(answer.job)),
    )
