"""A model to measure with: a Llama with random weights and a tokenizer of made-up words, written like any other model.

It writes nonsense, at the speed of a trained model of its size, and it never ends an answer by itself.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import LlamaConfig, LlamaForCausalLM

SEED = 7


@dataclass(frozen=True, slots=True)
class Size:
    """The sizes of a Llama."""

    vocabulary: int
    hidden: int
    feed_forward: int
    layers: int
    heads: int
    key_value_heads: int
    context: int


TWENTY_MILLION = Size(8192, 384, 1024, layers=9, heads=6, key_value_heads=2, context=1024)
"""20.5 million parameters; three heads share their keys and values, as in most models since 2023."""

SMALL = Size(512, 64, 128, layers=2, heads=4, key_value_heads=2, context=256)
"""Only to see that things work."""


def write_model(directory: Path, size: Size) -> Path:
    """Write the model into `directory`, which is made; always the same weights. Returns `directory`."""
    directory.mkdir(parents=True)
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        model = LlamaForCausalLM(_config(size))
    save = cast(Callable[[Path], None], model.save_pretrained)
    save(directory)
    words = {f"w{number}": number for number in range(size.vocabulary)}
    Tokenizer(WordLevel(words, unk_token="w0")).save(str(directory / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": size.context}
    (directory / "tokenizer_config.json").write_text(json.dumps(settings))
    return directory


def _config(size: Size) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=size.vocabulary,
        hidden_size=size.hidden,
        intermediate_size=size.feed_forward,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.key_value_heads,
        max_position_embeddings=size.context,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
    )
