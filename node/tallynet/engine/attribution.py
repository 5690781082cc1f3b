"""Which tokens of a prompt made an answer likely: computed from the model's files, on whoever's machine has them.

F is the log-probability of the answer's tokens, read in one pass after the prompt. A prompt token counts as taken away
when its input embedding is replaced by the mean of all embeddings, which stands for no word in particular.

- leave-out: what F loses when this token alone is taken away. One pass for each token; says what the answer hangs on.
- integrated: F's gradient with respect to the token's embedding, averaged on the straight way from all tokens taken
  away to none, times what was put in (integrated gradients). The weights of all tokens add up to F's whole change, but
  for the error of a sum of `steps` parts, which is told.

What it is not: a proof of how the model works. Both ask about inputs that no tokenizer produces; tokens that stand in
for each other share or hide their weight; and that a word counts says nothing about whether the answer is true.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

import torch
from torch import Tensor

from tallynet.engine.detokenizer import Detokenizer
from tallynet.engine.replay import Replayer
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.units import TokenIds

Say = Callable[[int, int], None]
"""Hears how many passes of how many are done."""

STEPS = 32
MOST_LEFT_OUT = 1024
"""Prompt tokens that are taken away one by one."""


class Method(StrEnum):
    LEAVE_OUT = "leave-out"
    INTEGRATED = "integrated"


@dataclass(frozen=True, slots=True)
class Attribution:
    """How much each prompt token added to the log-probability of the answer, in nats; below 0 it spoke against it."""

    method: Method
    weights: tuple[float, ...]
    """One per prompt token."""
    total: float
    """F: the answer's log-probability after the whole prompt."""
    without: float
    """F after a prompt of which every token was taken away."""

    @property
    def gap(self) -> float:
        """By how much the weights, added up, miss what the whole prompt did. For leave-out it is no error: tokens that
        do one job together are each missed for all of it, and tokens that stand in for each other for none."""
        return sum(self.weights) - (self.total - self.without)


class Attributor:
    """Asks one loaded model. Blocks; one thread at a time."""

    def __init__(self, replayer: Replayer) -> None:
        """Raises `Misconfigured` for an encoder-decoder model, whose prompt stands in another sequence."""
        self._replayer = replayer
        self._model = cast(Any, replayer.model)
        if self._model.config.is_encoder_decoder:
            raise Misconfigured("Answers of encoder-decoder models cannot be attributed to their prompts here.")
        self._embed = cast(Callable[[Tensor], Tensor], self._model.get_input_embeddings())
        self._nothing = self._model.get_input_embeddings().weight.detach().mean(dim=0)  # (width,)

    def attribute(
        self, prompt: TokenIds, answer: TokenIds, *, first: int = 0, last: int | None = None, method: Method,
        steps: int = STEPS, say: Say | None = None,
    ) -> Attribution:  # fmt: skip
        """Attribute the answer's tokens `first` to `last`, the latter not included, to the prompt.

        Raises `Misconfigured` for tokens that the model can't have, none at all, and a prompt too long to leave out.
        """
        last = len(answer) if last is None else last
        self._check(prompt, answer, first, last, method, steps)
        run = _Run(self._model, self._embed, self._nothing, prompt, answer[:last], first)
        with torch.no_grad():
            total, without = float(run.likelihood(1.0)), float(run.likelihood(0.0))
        weights = run.leave_out(total, say) if method is Method.LEAVE_OUT else run.integrate(steps, say)
        return Attribution(method, weights, total, without)

    def texts(self, prompt: TokenIds) -> list[str]:
        """What each prompt token adds to the text; control tokens, which have none, by their number."""
        detokenizer = Detokenizer(self._replayer.decode)
        texts = [detokenizer.add(token) for token in prompt]
        return [
            text or self._replayer.decode([token]) or f"<{token}>" for text, token in zip(texts, prompt, strict=True)
        ]

    def _check(self, prompt: TokenIds, answer: TokenIds, first: int, last: int, method: Method, steps: int) -> None:
        self._replayer.check_tokens(prompt, answer)
        if not 0 <= first < last <= len(answer) or steps < 1:
            raise Misconfigured(
                f"The answer has {len(answer)} tokens, from {first} up to {last} are asked about, in {steps} steps.",
                remedy="Ask about tokens that are there; they are counted from 0.",
            )
        if method is Method.LEAVE_OUT and len(prompt) > MOST_LEFT_OUT:
            raise Misconfigured(
                f"The prompt has {len(prompt)} tokens; at most {MOST_LEFT_OUT} are left out one by one.",
                remedy="Use --method integrated.",
            )


class _Run:
    """One prompt and answer."""

    def __init__(
        self,
        model: Any,
        embed: Callable[[Tensor], Tensor],
        nothing: Tensor,
        prompt: TokenIds,
        answer: TokenIds,
        first: int,
    ) -> None:
        device = nothing.device
        self._model = model
        self._prompt = embed(torch.tensor(prompt, device=device)).detach()  # (prompt, width)
        self._given = embed(torch.tensor(answer[:-1], device=device, dtype=torch.long)).detach()  # (answer - 1, width)
        self._answer = torch.tensor(answer[first:], device=device)
        self._nothing = nothing.expand_as(self._prompt)

    def likelihood(self, share: float) -> Tensor:
        """F with this share of every prompt token's embedding, and the rest of it nothing."""
        return self._read(self._nothing + share * (self._prompt - self._nothing))

    def leave_out(self, total: float, say: Say | None) -> tuple[float, ...]:
        weights = []
        with torch.no_grad():
            for place in range(len(self._prompt)):
                inputs = self._prompt.clone()
                inputs[place] = self._nothing[place]
                weights.append(total - float(self._read(inputs)))
                if say is not None:
                    say(place + 1, len(self._prompt))
        return tuple(weights)

    def integrate(self, steps: int, say: Say | None) -> tuple[float, ...]:
        """The midpoints of `steps` equal parts of the way."""
        change, sums = self._prompt - self._nothing, torch.zeros_like(self._prompt)
        for step in range(steps):
            inputs = (self._nothing + (step + 0.5) / steps * change).requires_grad_()
            (gradient,) = torch.autograd.grad(self._read(inputs), inputs)
            sums += gradient
            if say is not None:
                say(step + 1, steps)
        weights: list[float] = (change * sums / steps).sum(dim=1).tolist()
        return tuple(weights)

    def _read(self, prompt: Tensor) -> Tensor:
        """F after prompt embeddings (prompt, width)."""
        inputs = torch.cat([prompt, self._given])[None]
        logits = self._model(inputs_embeds=inputs, use_cache=False, return_dict=True).logits[0]
        rows = logits[-len(self._answer) :].float().log_softmax(dim=1)
        return cast(Tensor, rows.gather(1, self._answer[:, None]).sum())
