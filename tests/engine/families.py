"""One tiny random model of each family that operators ask for, made from its configuration.

Wide enough that logits differ clearly; sliding windows are shorter than the answers, so that they matter.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
import transformers
from transformers import PreTrainedModel
from transformers.models.auto.modeling_auto import AutoModelForCausalLM

from tests.engine.checkpoints import CONTEXT, VOCABULARY

WINDOW = 12

COMMON: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": 0,
    "initializer_range": 0.3,
    "tie_word_embeddings": False,
}

LLAMA: dict[str, Any] = {
    "max_position_embeddings": CONTEXT,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}

SHARED: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2": ("GPT2Config", {"n_positions": CONTEXT, "n_embd": 64, "n_layer": 2, "n_head": 4}),
    "llama": ("LlamaConfig", LLAMA),
    "qwen2": ("Qwen2Config", LLAMA),
    "qwen3": ("Qwen3Config", {**LLAMA, "head_dim": 16}),
    "mistral": ("MistralConfig", {**LLAMA, "sliding_window": WINDOW}),
    "gemma2": ("Gemma2Config", {**LLAMA, "head_dim": 16, "sliding_window": WINDOW, "query_pre_attn_scalar": 16}),
    "gemma3": ("Gemma3TextConfig", {**LLAMA, "head_dim": 16, "sliding_window": WINDOW, "query_pre_attn_scalar": 16}),
    "phi": ("PhiConfig", {**LLAMA, "num_key_value_heads": 4}),
    "phi3": ("Phi3Config", LLAMA),
    "opt": (
        "OPTConfig",
        {
            "max_position_embeddings": CONTEXT,
            "hidden_size": 64,
            "ffn_dim": 96,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "word_embed_proj_dim": 64,
            "init_std": 0.3,
        },
    ),
}
"""Families whose rows share steps: the name of the configuration's class, and its settings."""

LONE: dict[str, tuple[str, dict[str, Any]]] = {
    "bloom": ("BloomConfig", {"hidden_size": 64, "n_layer": 2, "n_head": 4}),
    "mamba2": (
        "Mamba2Config",
        {"hidden_size": 32, "state_size": 16, "num_heads": 4, "head_dim": 16, "n_groups": 1, "num_hidden_layers": 2},
    ),
}
"""Families that run one generation at a time."""


def make_model(family: str, directory: Path) -> Path:
    """Write the weights and the configuration of a family into `directory`; returns it."""
    name, settings = {**SHARED, **LONE}[family]
    config = getattr(transformers, name)(**COMMON, **settings)
    with torch.random.fork_rng():
        torch.manual_seed(11)
        model = cast(PreTrainedModel, AutoModelForCausalLM.from_config(config))  # type: ignore[no-untyped-call]
    save = cast(Callable[[Path], None], model.save_pretrained)
    save(directory)
    return directory
