"""(6) A score made again: the same text read once more, and how far each claimed number is from the one found here.

Nothing here decides anything. Source: spec chapter 6, "Replay of scores".
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tallynet.engine.batch import can_share_steps
from tallynet.engine.evidence import GROUP_TOKENS, Record, SignKeys
from tallynet.engine.packing import PackedLinears
from tallynet.engine.reading import Reader, Seen
from tallynet.engine.recital import Guess, Recital
from tallynet.engine.replay import Replayer, sketch_distance
from tallynet.engine.sketch import exact_hash
from tallynet.protocol.chunk import ChunkBody
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.score import Likely, ScoredToken, read_tokens
from tallynet.protocol.units import Digest, TokenIds

Say = Callable[[int, int], None]
"""Hears how many tokens of how many are done."""


@dataclass(frozen=True, slots=True)
class ScoreClaim:
    """One score as its node tells it."""

    prompt: TokenIds
    seed: Digest
    scored: tuple[ScoredToken, ...]
    after: tuple[Likely, ...]
    """Empty where none were asked for, or the answer was cut short."""
    records: tuple[Record, ...] = ()
    """One per group of tokens; none where the node measured nothing."""

    @property
    def tokens(self) -> TokenIds:
        return tuple(one.token for one in self.scored)

    @property
    def told(self) -> list[tuple[Likely, ...]]:
        """The likely tokens of every place, that after the text last."""
        return [*(one.likeliest for one in self.scored), self.after]


@dataclass(frozen=True, slots=True)
class ScoreSeen:
    """What one pass over the text found."""

    apart: tuple[float, ...]
    """Per token: |claimed logprob - ours|."""
    likely_apart: tuple[float, ...]
    """The same of every likely token that was told."""
    missed: tuple[float, ...]
    """Per place where likely tokens were told: how far the best of all others lies above the last of them, in logits;
    0 for an honest list."""
    distances: tuple[float, ...]
    """Per group: how far the claimed sketch lies from ours, in units of the latter's size."""
    same_logprobs: int
    """How many tokens have the very logprob, to the last bit."""
    same_groups: int
    """How many groups have the very hidden states, bit by bit."""


class Rescorer:
    """Reads texts again with a loaded model. Blocks; one thread at a time."""

    def __init__(self, replayer: Replayer) -> None:
        """Raises `Misconfigured` for a model that scores no texts."""
        model = replayer.model
        if model.config.is_encoder_decoder:
            raise Misconfigured("An encoder-decoder model scores no texts, so no honest node has made this run.")
        in_parts = can_share_steps(model)
        self._reader = Reader(model, in_parts=in_parts, packed=PackedLinears(model) if in_parts else None)
        self._replayer = replayer

    def retell(self, claim: ScoreClaim) -> tuple[tuple[ScoredToken, ...], tuple[Likely, ...]]:
        """The claim with the texts that its tokens have: what an honest node tells beside the numbers."""
        recital = Recital(claim.prompt, claim.tokens, self._replayer.decode)
        pieces = [recital.add(one.logprob, _guesses(one.likeliest)) for one in claim.scored]
        pieces += recital.end(_guesses(claim.after))
        bodies = [ChunkBody(piece.tokens, piece.text, piece.logprobs, piece.evidence) for piece in pieces if piece]
        read = [read_tokens(body) for body in bodies]
        return tuple(one for tokens, _ in read for one in tokens), read[-1][1].after

    def observe(self, claim: ScoreClaim, threads: int | None = None, say: Say | None = None) -> ScoreSeen:
        """Look at a score that holds at least one token, with the node's number of `threads` where it is known.

        Raises `Misconfigured` for tokens that this model can't have.
        """
        self._replayer.check_tokens(claim.prompt, claim.tokens)
        before, found = torch.get_num_threads(), _Found(claim)
        torch.set_num_threads(threads or before)
        try:
            with torch.inference_mode():
                reading = self._reader.begin(claim.prompt, claim.tokens)
                while not reading.complete:
                    found.add(self._reader.advance(reading))
                    if say is not None:
                        say(min(len(found.apart), len(claim.scored)), len(claim.scored))
        finally:
            torch.set_num_threads(before)
        return found.seen()


class _Found:
    """What has been found so far, pass after pass."""

    def __init__(self, claim: ScoreClaim) -> None:
        self._claim = claim
        self.apart: list[float] = []
        self._likely_apart: list[float] = []
        self._missed: list[float] = []
        self._hidden: list[Tensor] = []
        self._same = 0

    def add(self, seen: Seen) -> None:
        claimed = self._claim.scored[seen.first : seen.first + len(seen.logits)]
        logprobs = seen.logprobs(self._claim.tokens)
        self.apart += [abs(ours - theirs.logprob) for ours, theirs in zip(logprobs, claimed, strict=True)]
        self._same += sum(ours == theirs.logprob for ours, theirs in zip(logprobs, claimed, strict=True))
        totals = seen.totals
        for row, told in enumerate(self._claim.told[seen.first : seen.first + len(seen.logits)]):
            if told:
                self._compare(seen.logits[row], float(totals[row]), told)
        if seen.hidden is not None:
            self._hidden.append(seen.hidden)

    def _compare(self, logits: Tensor, total: float, told: Sequence[Likely]) -> None:
        """logits (vocabulary,) of one place, and their logsumexp."""
        ids = torch.tensor([likely.token for likely in told], device=logits.device)
        values = logits[ids]
        self._likely_apart += [
            abs(min(0.0, ours - total) - likely.logprob) for ours, likely in zip(values.tolist(), told, strict=True)
        ]
        others = logits.index_fill(0, ids, -torch.inf)
        self._missed.append(max(0.0, float(others.max() - values.min())))

    def seen(self) -> ScoreSeen:
        claim, groups = self._claim, list[Tensor]()
        if self._hidden:
            groups = list(torch.cat(self._hidden)[: len(claim.scored)].split(GROUP_TOKENS))  # type: ignore[no-untyped-call]
        keys, distances, same = SignKeys(claim.seed, claim.prompt), [], 0
        for number, (record, states) in enumerate(zip(claim.records, groups, strict=False)):
            key = keys.after(claim.tokens[number * GROUP_TOKENS : (number + 1) * GROUP_TOKENS])
            distances.append(sketch_distance(record, states, key))
            same += exact_hash(states) == record.exact
        return ScoreSeen(
            tuple(self.apart), tuple(self._likely_apart), tuple(self._missed), tuple(distances), self._same, same
        )


def _guesses(likeliest: Sequence[Likely]) -> list[Guess]:
    return [(likely.token, likely.logprob) for likely in likeliest]
