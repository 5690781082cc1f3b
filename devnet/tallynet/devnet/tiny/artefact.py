"""The model directory on disk: written whole or not at all, and read back as float32."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from tallynet.devnet.tiny.evaluation import LONGEST_ANSWER

RECIPE_FILE = "recipe.json"
METRICS_FILE = "metrics.json"
CARD_FILE = "README.md"
WEIGHTS_FILE = "model.safetensors"
DEFAULT_ANSWER_TOKENS = 10 * LONGEST_ANSWER


class MissingModel(Exception):
    """The directory holds no tally-tiny model."""


def save_model(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    facts: dict[str, Any],
    target: Path,
) -> None:
    """Write weights (float16), tokenizer and ``facts`` beside ``target``, then move them there.

    ``model`` keeps the rounded weights, as float32: what trains on is what was written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as scratch:
        fresh = Path(scratch) / "fresh"
        rounded: Any = model
        model.generation_config = build_generation_config(tokenizer)
        rounded.half().save_pretrained(fresh)
        rounded.float()
        tokenizer.save_pretrained(fresh)
        (fresh / RECIPE_FILE).write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        (fresh / WEIGHTS_FILE).chmod(0o644)
        if target.exists():
            target.rename(Path(scratch) / "replaced")
        fresh.rename(target)


def build_generation_config(tokenizer: PreTrainedTokenizerFast) -> GenerationConfig:
    """Greedy decoding that stops at the end token."""
    configure: Any = GenerationConfig
    config: GenerationConfig = configure(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        do_sample=False,
        max_new_tokens=DEFAULT_ANSWER_TOKENS,
    )
    return config


def load_model(directory: Path) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """Load the rounded weights as float32, which processors compute fastest, with the tokenizer."""
    if not (directory / WEIGHTS_FILE).is_file():
        raise MissingModel(
            f"There is no model in {directory}: train one with "
            f"`python -m tallynet.devnet.tiny train --out {directory}`."
        )
    loaded: Any = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
    model: LlamaForCausalLM = loaded
    tokenizer: Any = AutoTokenizer.from_pretrained(directory, padding_side="left")
    model.train(False)
    return model, tokenizer


def count_parameters(model: LlamaForCausalLM) -> int:
    """Parameters of the model; tied embeddings count once."""
    return sum(parameter.numel() for parameter in model.parameters())
