"""(6) A run made again: one prefill over prompt and answer gives the logits and hidden states of every token at once.

Blocks of positions are prefilled one after the other over one cache, each as long as its logits fit into
LOGITS_BUDGET, so large vocabularies need no more memory than small ones. Source: spec chapter 6, "Replay".
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicCache

from tallynet.engine.answer import Answer
from tallynet.engine.batch import can_share_steps
from tallynet.engine.engine import Finish
from tallynet.engine.evidence import GROUP_TOKENS, Record, SignKeys
from tallynet.engine.forward import Forward
from tallynet.engine.grammar import Grammars
from tallynet.engine.hardware import Hardware
from tallynet.engine.observation import Alternative, Claim, Observation, Pairing, alternatives
from tallynet.engine.packing import PackedLinears
from tallynet.engine.rules import Rules, rules_of
from tallynet.engine.scoring import CANDIDATES, Candidates
from tallynet.engine.seq2seq import Decoder
from tallynet.engine.sketch import exact_hash, project
from tallynet.engine.tokenizer import Tokenizer
from tallynet.engine.warmup import try_out
from tallynet.engine.weights import context_length, end_tokens, load_weights, vocabulary_size
from tallynet.protocol.errors import InvalidJob, Misconfigured, Unreachable
from tallynet.protocol.request import Request
from tallynet.protocol.units import Digest, TokenIds

LOGITS_BUDGET = 1 << 26
"""Logits held at a time: 256 MB of float32."""

LEAST_SIZE = 0.1
"""A sketch's distance is measured against its size, or against this part of the hidden states' own size if that is
more: where a model repeats one token for ever, hardly anything but float noise is left in a sketch."""

Say = Callable[[int, int], None]
"""Hears how many tokens of how many are done."""


@dataclass(frozen=True, slots=True)
class Retold:
    """An answer's end, from its tokens alone."""

    finish: Finish | None
    """None where they come to no end."""
    left: int
    """Tokens after the one that ended the answer."""
    text: str


class Replayer:
    """A loaded model that makes runs again. Blocks; one thread at a time."""

    def __init__(
        self, directory: Path, hardware: Hardware, *, attention: str | None = None, longest_context: int | None = None
    ) -> None:
        """Raises `Misconfigured`. `attention` is one of transformers' kernels; None leaves the choice to it.
        `longest_context` is what the node lowered its context length to, if it did."""
        self.hardware = hardware
        self.model = load_weights(directory, hardware, attention=attention)
        self._tokenizer = Tokenizer(directory)
        self.ends = end_tokens(self.model, self._tokenizer.end)
        self.context_length = context_length(self.model, self._tokenizer.length_limit, longest_context)
        self._vocabulary = vocabulary_size(self.model)
        self._packed = PackedLinears(self.model)
        self._grammars = Grammars(self._tokenizer, self._vocabulary, self.ends)
        self._forward = Forward(self.model)
        self._decoder = Decoder(self.model) if self.model.config.is_encoder_decoder else None
        self._in_blocks = can_share_steps(self.model)

    @property
    def attention(self) -> str:
        return str(self.model.config._attn_implementation)

    def encode(self, request: Request) -> TokenIds:
        """The prompt of a request, by the model's own template. Raises `InvalidJob` when it takes no such request."""
        return self._tokenizer.encode(request)

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens, by the model's own tokenizer."""
        return self._tokenizer.decode(tokens)

    def retell(self, claim: Claim) -> Retold:
        """How an answer of these tokens ends, and its text, by the rules of every engine (`answer.Answer`)."""
        answer = Answer(
            limit=min(claim.sampling.max_tokens, self.context_length - len(claim.prompt)),
            stops=claim.sampling.stop,
            ends=self.ends,
            decode=self._tokenizer.decode,
            clock=itertools.count(step=1e9).__next__,  # every token is a piece
        )
        text = ""
        for at, token in enumerate(claim.tokens, 1):
            piece = answer.add(token, 0.0)
            text += piece.text if piece is not None else ""
            if answer.finish is not None:
                return Retold(answer.finish, len(claim.tokens) - at, text)
        return Retold(None, 0, text)

    def observe(self, claim: Claim, *, slack: float, first: int | None = None, say: Say | None = None) -> Observation:
        """Look at a run, or at its `first` tokens only.

        Raises `Misconfigured` for tokens this model can't have, and for a schema that can't be followed to their end.
        """
        count = len(claim.tokens) if first is None else min(first, len(claim.tokens))
        self.check_tokens(claim.prompt, claim.tokens)
        found, hidden = _Found(claim, alternatives(claim), slack), []
        ruling = _Ruling(claim, self._grammars)
        with torch.inference_mode(), self._packed:
            for start, logits, states in self._blocks(claim, count):
                found.add(start, ruling.rule(start, logits))
                hidden.append(states)
                if say is not None:
                    say(start + len(logits), count)
            distances = _distances(claim, torch.cat(hidden)) if hidden and claim.records else ()
        return replace(found.observation(distances), barred=ruling.barred)

    def count_exact(self, claim: Claim, threads: int, say: Say | None = None) -> tuple[int, int]:
        """Decode the run again, alone, token by token with `threads`: how many groups from the first on have the
        recorded hash, of how many that ran alone all the way."""
        alone = _alone(claim.records)
        keys, before = GROUP_TOKENS * alone, torch.get_num_threads()
        tokens = claim.tokens[:keys]
        batch = try_out(self.model, 1).batch
        torch.set_num_threads(threads)
        try:
            with torch.inference_mode():
                batch.join(claim.prompt)
                for group in range(alone):
                    states = []
                    for token in tokens[group * GROUP_TOKENS : (group + 1) * GROUP_TOKENS]:
                        states.append(batch.hidden)
                        batch.step([token])
                        if say is not None:
                            say(group * GROUP_TOKENS + len(states), len(tokens))
                    if exact_hash(torch.cat([state for state in states if state is not None]).cpu()) != (
                        claim.records[group].exact
                    ):
                        return group, alone
        finally:
            torch.set_num_threads(before)
        return alone, alone

    def _blocks(self, claim: Claim, count: int) -> Iterator[tuple[int, Tensor, Tensor]]:
        """From which token on; the logits (n, vocabulary) that chose it and the next ones; hidden states (n, width)."""
        if self._decoder is not None:
            yield from self._decoded(self._decoder, claim, count)
            return
        longest = max(1, LOGITS_BUDGET // self._vocabulary) if self._in_blocks else max(1, count)
        cache: Cache | None = DynamicCache() if self._in_blocks else None
        fed = [*claim.prompt, *claim.tokens]
        for start in range(0, count, longest):
            end = min(start + longest, count)
            begin = len(claim.prompt) - 1 + start if start else 0
            ids = fed[begin : len(claim.prompt) - 1 + end]
            logits, cache = self._forward([ids], cache, keep=end - start)
            states = self._forward.hidden
            yield start, logits[0].float(), logits[0, :, :0] if states is None else states[0].cpu()

    def _decoded(self, decoder: Decoder, claim: Claim, count: int) -> Iterator[tuple[int, Tensor, Tensor]]:
        """The same of an encoder-decoder model, all at once: the answer stands in a sequence of its own."""
        fed = (decoder.start, *claim.tokens[: count - 1])
        logits = decoder.logits(decoder.encode(claim.prompt), fed, None, first=0)
        hidden = decoder.hidden
        yield 0, logits.float(), logits[:, :0] if hidden is None else hidden.cpu()

    def check_tokens(self, prompt: TokenIds, tokens: TokenIds) -> None:
        """Raises `Misconfigured` for a prompt and an answer that this model can't have."""
        strange = [token for token in (*prompt, *tokens) if not 0 <= token < self._vocabulary]
        if strange or not prompt or len(prompt) + len(tokens) > self.context_length:
            raise Misconfigured(
                f"a model of {self._vocabulary} tokens and a context of {self.context_length} can't have made this run"
            )


class _Found:
    """What has been found so far, block after block."""

    def __init__(self, claim: Claim, others: Sequence[Alternative], slack: float) -> None:
        self._claim = claim
        self._others = others
        self._slack = slack
        self._matches: list[bool] = []
        self._margins: list[float] = []
        self._logprobs: list[float] = []
        self._outside: list[int] = []
        self._pairs = [[0, 0] for _ in others]

    def add(self, start: int, logits: Tensor) -> None:
        claim = self._claim
        claimed = claim.tokens[start : start + len(logits)]
        candidates = Candidates(logits, claimed, start, max(CANDIDATES, claim.sampling.top_k))
        scores = candidates.score(claim.sampling, claim.seed, slack=self._slack)
        for other, pair in zip(self._others, self._pairs, strict=True):
            theirs = candidates.score(other.sampling, other.seed, exact=False).matches
            pair[0] += int((theirs & ~scores.matches).sum())
            pair[1] += int((scores.matches & ~theirs).sum())
        self._matches += scores.matches.tolist()
        self._margins += scores.margins.tolist()
        self._logprobs += candidates.logprobs().tolist()
        outside = candidates.outside(claim.sampling, self._slack).nonzero()[:, 0]
        self._outside += [start + int(at) for at in outside]

    def observation(self, distances: tuple[float, ...]) -> Observation:
        pairings = tuple(Pairing(other.name, *pair) for other, pair in zip(self._others, self._pairs, strict=True))
        return Observation(
            tuple(self._matches), tuple(self._margins), tuple(self._outside), tuple(self._logprobs), distances, pairings
        )


class _Ruling:
    """What the request adds to the choice of tokens, along the tokens that were chosen."""

    def __init__(self, claim: Claim, grammars: Grammars) -> None:
        self._claim = claim
        self.barred: int | None = None
        """The first token that the schema does not let come; behind it nothing is forbidden any more."""
        self._rules = self._begin(grammars)

    def rule(self, start: int, logits: Tensor) -> Tensor:
        """The logits that the tokens from `start` on were chosen from; logits (n, vocabulary) float32."""
        if self._rules is None:
            return logits
        logits = logits.clone()
        for at, row in enumerate(logits, start):
            self._rule(at, row)
        return logits

    def _rule(self, at: int, row: Tensor) -> None:
        token = self._claim.tokens[at]
        if self._rules is not None and not self._rules.permit(token):
            self._bar(at)
        if self._rules is None:
            return
        self._rules.rule(row)
        try:
            self._rules.advance(token)
        except Unreachable as error:
            raise Misconfigured(f"token {at} can't be of such a run: {error.message}") from error

    def _begin(self, grammars: Grammars) -> Rules | None:
        claim = self._claim
        try:
            return rules_of(claim.logit_bias, grammars.guide(claim.schema) if claim.schema else None)
        except InvalidJob:  # no honest node takes it: nothing may come
            self._bar(0)
            return self._rules

    def _bar(self, at: int) -> None:
        self.barred = at
        self._rules = rules_of(self._claim.logit_bias, None)


def _distances(claim: Claim, hidden: Tensor) -> tuple[float, ...]:
    """Of every group whose tokens are all there; hidden (tokens, width)."""
    keys, found = SignKeys(claim.seed, claim.prompt), []
    for group, record in enumerate(claim.records):
        tokens = claim.tokens[group * GROUP_TOKENS : (group + 1) * GROUP_TOKENS]
        states = hidden[group * GROUP_TOKENS : group * GROUP_TOKENS + len(tokens)]
        if len(states) < len(tokens):
            break
        found.append(sketch_distance(record, states, keys.after(tokens)))
    return tuple(found)


def sketch_distance(record: Record, states: Tensor, key: Digest) -> float:
    """Of a group's record from its hidden states, (tokens, width) on the CPU, in units of the states' own sketch."""
    ours, theirs = project(states, key), torch.tensor(record.sketch)
    size = max(_rms(ours), LEAST_SIZE * _rms(states.float()))
    return _rms(theirs - ours) / size if size else float(record.scale > 0)


def _rms(values: Tensor) -> float:
    return float(values.square().mean().sqrt())


def _alone(records: Sequence[Record]) -> int:
    """How many groups, from the first on, shared no step with another run."""
    return next((at for at, record in enumerate(records) if record.rows != 1), len(records))
