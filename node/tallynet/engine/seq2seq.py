"""Encoder-decoder models, such as Marian and T5: the prompt is read once, the answer is decoded against it.

A decoder begins with a start token of its own, which is neither prompt nor answer. What the model's generation
configuration forbids or forces is part of the model (spec chapter 3): those logits are -inf, here and in a replay.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor
from transformers import GenerationConfig, PreTrainedModel
from transformers.cache_utils import DynamicCache, EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput, Seq2SeqLMOutput

from tallynet.engine.forward import Head
from tallynet.engine.prefill import Prefill
from tallynet.engine.reading import Reader
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.units import TokenIds


@dataclass(slots=True)
class _Row:
    """One running generation."""

    encoded: Tensor
    """(1, prompt, hidden size)."""
    cache: EncoderDecoderCache
    position: int
    """Tokens of the answer so far."""
    hidden: Tensor | None = None
    """The head's input behind the row's latest logits, (1, width)."""


class Seq2SeqBatch:
    """A `batch.Batch` whose rows take their steps one after the other, each with its own cache.

    So a row's numbers never depend on its neighbours.
    """

    def __init__(self, model: PreTrainedModel, slots: int) -> None:
        """Raises `Misconfigured` for a model that names no start token."""
        self.slots = slots
        self.reader: Reader | None = None
        """The text that an encoder-decoder model reads is another than the one that it writes."""
        self._decoder = Decoder(model)
        self._rows: list[_Row] = []
        self._hidden: Tensor | None = None

    @property
    def rows(self) -> int:
        return len(self._rows)

    @property
    def hidden(self) -> Tensor | None:
        """Of the rows of the latest call."""
        return self._hidden

    def begin(self, prompts: Sequence[TokenIds]) -> Prefill:
        return Prefill(prompts[:1])

    def enter(self, prefill: Prefill) -> Tensor:
        prefill.done = prefill.width
        return self.join(prefill.prompts[0])[None]

    def join(self, prompt: TokenIds) -> Tensor:
        row = _Row(self._decoder.encode(prompt), EncoderDecoderCache(DynamicCache(), DynamicCache()), 0)
        logits = self._step(row, self._decoder.start)
        self._rows.append(row)
        self._hidden = _stacked([row])
        return logits

    def step(self, tokens: Sequence[int]) -> Tensor:
        steps = [self._step(row, token) for row, token in zip(self._rows, tokens, strict=True)]
        self._hidden = _stacked(self._rows)
        return torch.stack(steps)

    def leave(self, row: int) -> None:
        self._rows[row] = self._rows[-1]
        self._rows.pop()

    def clear(self) -> None:
        self._rows.clear()

    def _step(self, row: _Row, token: int) -> Tensor:
        logits = self._decoder.logits(row.encoded, [token], row.cache, first=row.position)
        row.position += 1
        row.hidden = self._decoder.hidden
        return logits[0]


class Decoder:
    """The two halves of a model, and the rules that its generation configuration adds."""

    def __init__(self, model: PreTrainedModel) -> None:
        """Raises `Misconfigured` for a model that names no start token."""
        self._model = model
        self._device = model.device
        rules = model.generation_config
        starts = (rules.decoder_start_token_id, getattr(model.config, "decoder_start_token_id", None))
        start = next((token for token in starts if isinstance(token, int)), None)
        if start is None:
            raise Misconfigured(
                f"{type(model).__name__} names no decoder_start_token_id",
                remedy="Set it in generation_config.json, as the model's own card says.",
            )
        self.start: int = start
        self._forbidden = _forbidden(rules)
        self._forbidden_first = [*self._forbidden, *(rules.begin_suppress_tokens or ())]
        self._forced = rules.forced_bos_token_id
        self._head = Head(model)

    @property
    def hidden(self) -> Tensor | None:
        """The head's inputs behind the latest logits, (tokens, width); None for a model without a head."""
        return None if self._head.seen is None else self._head.seen[0]

    def encode(self, prompt: TokenIds) -> Tensor:
        """The encoder's last hidden states, (1, prompt, hidden size)."""
        encoder = cast(torch.nn.Module, self._model.get_encoder())
        output = cast(BaseModelOutput, encoder(input_ids=torch.tensor([prompt], device=self._device), return_dict=True))
        return cast(Tensor, output.last_hidden_state)

    def logits(
        self, encoded: Tensor, tokens: Sequence[int], cache: EncoderDecoderCache | None, *, first: int
    ) -> Tensor:
        """The logits after each of `tokens`, (tokens, vocabulary), with -inf where the model may not choose.

        The first row chooses the answer's token number `first`. Without a cache nothing is remembered.
        """
        with self._head.watched():
            output = cast(
                Seq2SeqLMOutput,
                self._model(
                    encoder_outputs=BaseModelOutput(last_hidden_state=encoded),
                    decoder_input_ids=torch.tensor([list(tokens)], device=self._device),
                    past_key_values=cache,
                    use_cache=cache is not None,
                    return_dict=True,
                ),
            )
        return self._ruled(cast(Tensor, output.logits)[0], first)

    def _ruled(self, logits: Tensor, first: int) -> Tensor:
        logits = logits.clone()
        logits[:, self._forbidden] = -torch.inf
        if first == 0:
            logits[0, self._forbidden_first] = -torch.inf
            if self._forced is not None:
                forced = logits[0, self._forced].clone()
                logits[0] = -torch.inf
                logits[0, self._forced] = forced
        return logits


@torch.inference_mode()
def replay_logits(model: PreTrainedModel, prompt: TokenIds, output: TokenIds) -> Tensor:
    """The logits that each token of `output` was chosen from, (output, vocabulary), in the model's dtype.

    One pass of the encoder over `prompt` and one teacher-forced pass of the decoder over `output`, without a cache.
    Row i is what the sampler saw at position i, up to float noise: `sampler.sample(row, Draw(sampling, key, i))`
    makes the choice again. `model` is what `weights.load_weights` returns for an encoder-decoder model; `output` holds
    every committed token, the end token too, and at least one. Raises `Misconfigured` as `Decoder` does.
    """
    decoder = Decoder(model)
    return decoder.logits(decoder.encode(prompt), (decoder.start, *output[:-1]), None, first=0)


def _stacked(rows: Sequence[_Row]) -> Tensor | None:
    found = [row.hidden for row in rows if row.hidden is not None]
    return torch.cat(found) if len(found) == len(rows) else None


def _forbidden(rules: GenerationConfig) -> list[int]:
    """Tokens that are never chosen: longer forbidden sequences are not looked for."""
    words = cast(list[list[int]], rules.bad_words_ids or [])
    return [*(word[0] for word in words if len(word) == 1), *(rules.suppress_tokens or ())]
