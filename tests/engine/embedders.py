"""Tiny untrained models that make vectors, with a real WordPiece tokenizer, made on the spot: for tests only."""

import json
from pathlib import Path
from typing import Any, cast

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BertConfig, PreTrainedModel, Qwen2Config
from transformers.models.auto.modeling_auto import AutoModel
from transformers.utils import logging as transformers_logging

EMBEDDERS = ("bert", "qwen2")
"""One that looks both ways and one that looks back."""

FIRST, LAST, PAD, UNKNOWN = "[CLS]", "[SEP]", "[PAD]", "[UNK]"

CONTEXT = 64
DIMENSIONS = 48

_WORDS = "a vector stands for a text: texts that mean the same have vectors that point the same way, others do not\n"


def make_embedder(family: str, directory: Path, pooling: str | None = None) -> Path:
    """Write a checkpoint of one of `EMBEDDERS` into `directory`, which is made; returns `directory`.

    With `pooling`, such as `cls_token`, it is saved as sentence-transformers saves its models.
    """
    directory.mkdir(parents=True)
    tokenizer = _train_tokenizer()
    tokenizer.save(str(directory / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": PAD, "model_max_length": CONTEXT}
    (directory / "tokenizer_config.json").write_text(json.dumps(settings))
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    with torch.random.fork_rng():
        torch.manual_seed(13)
        model = AutoModel.from_config(_config(family, tokenizer))  # type: ignore[no-untyped-call]
    cast(PreTrainedModel, model).save_pretrained(directory)
    if pooling is not None:
        write_modules(directory, pooling)
    return directory


def write_modules(directory: Path, pooling: str, *others: str) -> None:
    """What sentence-transformers writes beside the weights; `others` are further modules."""
    kinds = ("Transformer", "Pooling", *others)
    paths = ["", *(f"{number}_{kind}" for number, kind in enumerate(kinds) if number)]
    modules = [
        {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for number, (kind, path) in enumerate(zip(kinds, paths, strict=True))
    ]
    (directory / "modules.json").write_text(json.dumps(modules))
    (directory / "1_Pooling").mkdir(exist_ok=True)
    modes = {
        f"pooling_mode_{mode}": mode == pooling for mode in ("cls_token", "mean_tokens", "max_tokens", "lasttoken")
    }
    (directory / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": DIMENSIONS} | modes))


def _train_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=120, special_tokens=[PAD, UNKNOWN, FIRST, LAST], show_progress=False)
    tokenizer.train_from_iterator([_WORDS * 4], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{FIRST} $A {LAST}", special_tokens=[(FIRST, 2), (LAST, 3)]
    )
    return tokenizer


def _config(family: str, tokenizer: Tokenizer) -> BertConfig | Qwen2Config:
    common: dict[str, Any] = {
        "vocab_size": tokenizer.get_vocab_size(),
        "hidden_size": DIMENSIONS,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 96,
        "max_position_embeddings": CONTEXT,
        "initializer_range": 0.3,
        "pad_token_id": 0,
    }
    if family == "bert":
        return BertConfig(**common)
    if family == "qwen2":
        return Qwen2Config(num_key_value_heads=2, **common)
    raise ValueError(f"no family {family!r}: one of {', '.join(EMBEDDERS)}")
