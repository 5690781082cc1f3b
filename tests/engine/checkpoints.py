"""Tiny untrained models with everything a real checkpoint has, made on the spot: for tests only.

The weights are random but always the same ones, and wide enough that the logits differ clearly.
"""

import json
from pathlib import Path
from typing import Any, cast

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, LlamaConfig, PreTrainedConfig, PreTrainedModel, Qwen2Config
from transformers.models.auto.modeling_auto import AutoModelForCausalLM
from transformers.utils import logging as transformers_logging

FAMILIES = ("gpt2", "llama", "qwen2")

END_OF_TEXT, TURN_BEGIN, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

VOCABULARY = 384
CONTEXT = 128

_WORDS = "the quick brown fox jumps over a lazy dog; räksmörgås, żółw and 日本語 share one line: ok?\n"


def make_checkpoint(family: str, directory: Path, *, chat_template: str | None = CHAT_TEMPLATE) -> Path:
    """Write a checkpoint of one of `FAMILIES` into `directory`, which is made; returns `directory`."""
    directory.mkdir(parents=True)
    tokenizer = _train_tokenizer()
    tokenizer.save(str(directory / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": TURN_END,
        "pad_token": END_OF_TEXT,
        "model_max_length": CONTEXT,
        "clean_up_tokenization_spaces": False,
    }
    if chat_template is not None:
        settings["chat_template"] = chat_template
    (directory / "tokenizer_config.json").write_text(json.dumps(settings))
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    with torch.random.fork_rng():
        torch.manual_seed(7)
        model = AutoModelForCausalLM.from_config(_config(family, tokenizer))  # type: ignore[no-untyped-call]
    cast(PreTrainedModel, model).save_pretrained(directory)
    return directory


def _train_tokenizer() -> Tokenizer:
    """Byte-level BPE: every text can be written, rare characters take several tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[END_OF_TEXT, TURN_BEGIN, TURN_END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([_WORDS * 4], trainer)
    return tokenizer


def _config(family: str, tokenizer: Tokenizer) -> PreTrainedConfig:
    common: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "eos_token_id": tokenizer.token_to_id(END_OF_TEXT),
        "bos_token_id": None,
        "initializer_range": 0.3,
    }
    if family == "gpt2":
        return GPT2Config(n_positions=CONTEXT, n_embd=64, n_layer=2, n_head=4, **common)
    grouped: dict[str, Any] = {
        "max_position_embeddings": CONTEXT,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    }
    if family == "llama":
        return LlamaConfig(**grouped, **common)
    if family == "qwen2":
        return Qwen2Config(**grouped, **common)
    raise ValueError(f"no family {family!r}: one of {', '.join(FAMILIES)}")
