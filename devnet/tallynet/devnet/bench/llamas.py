"""Llamas of random weights, of the sizes that figures are given for."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from tallynet.devnet.plan import DEFAULT_MODEL
from tallynet.engine.manifest import CONFIG, WEIGHTS


@dataclass(frozen=True, slots=True)
class Size:
    """A model's shape."""

    name: str
    width: int
    layers: int
    vocabulary: int = 8192

    @property
    def config(self) -> LlamaConfig:
        heads = max(1, self.width // 64)
        return LlamaConfig(
            vocab_size=self.vocabulary, hidden_size=self.width, intermediate_size=8 * self.width // 3,
            num_hidden_layers=self.layers, num_attention_heads=heads, num_key_value_heads=heads,
            max_position_embeddings=1024, initializer_range=0.05, bos_token_id=1, eos_token_id=None, pad_token_id=0,
        )  # fmt: skip


TINY = Size("tiny", 64, 2, 2048)
SIZES = (Size("20M", 384, 8), Size("100M", 768, 12))


def make_llama(size: Size, folder: Path) -> Path:
    """Always the same weights, with the tokenizer of the model that comes with the package."""
    folder.mkdir(parents=True)
    for file in DEFAULT_MODEL.iterdir():
        if file.name not in (CONFIG, WEIGHTS, "generation_config.json"):
            shutil.copy(file, folder / file.name)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        LlamaForCausalLM(size.config).save_pretrained(folder)
    return folder
