"""Tiny untrained encoder-decoder models with a real unigram tokenizer, made on the spot: for tests only."""

import json
from pathlib import Path
from typing import Any, cast

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import GenerationConfig, MarianConfig, PreTrainedConfig, PreTrainedModel, T5Config
from transformers.models.auto.modeling_auto import AutoModelForSeq2SeqLM
from transformers.utils import logging as transformers_logging

TRANSLATORS = ("marian", "t5")

PAD, END, UNKNOWN = "<pad>", "</s>", "<unk>"

CONTEXT = 96

_PAIRS = (
    "the house is small and the garden is large; das Haus ist klein und der Garten ist groß. la maison est petite\n"
)


def make_translator(family: str, directory: Path) -> Path:
    """Write a checkpoint of one of `TRANSLATORS` into `directory`, which is made; returns `directory`."""
    directory.mkdir(parents=True)
    tokenizer = make_unigram()
    tokenizer.save(str(directory / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": END,
        "pad_token": PAD,
        "unk_token": UNKNOWN,
        "model_max_length": CONTEXT,
    }
    (directory / "tokenizer_config.json").write_text(json.dumps(settings))
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    with torch.random.fork_rng():
        torch.manual_seed(11)
        model = cast(PreTrainedModel, AutoModelForSeq2SeqLM.from_config(_config(family, tokenizer)))  # type: ignore[no-untyped-call]
        for name, parameter in cast(torch.nn.Module, model).named_parameters():
            if "norm" not in name:  # wide, so that the answer depends on the prompt; the embeddings, which are the
                torch.nn.init.normal_(parameter, std=0.5 if "shared" in name else 1.0)  # head too, less: it varies
    rules = {"decoder_start_token_id": 0, "eos_token_id": 1, "pad_token_id": 0, "bad_words_ids": [[0]]}
    model.generation_config = GenerationConfig(**rules, begin_suppress_tokens=[1])  # type: ignore[no-untyped-call]
    model.save_pretrained(directory)
    return directory


def make_unigram() -> Tokenizer:
    """Unigram, as in SentencePiece: words begin with ▁, every text ends with the end token.

    Its pieces are written down and not trained: the trainer's threads give other pieces from run to run.
    """
    words = [f"▁{word}" for word in sorted(set(_PAIRS.split()))]
    halves = sorted({word[:4] for word in words} | {word[-3:] for word in words})
    letters = sorted(set("".join(words)))
    scored = [(piece, -float(2 + rank / 100)) for rank, piece in enumerate(words)]
    scored += [(piece, -5.0) for piece in halves if piece not in {*words, *letters}]
    scored += [(letter, -9.0) for letter in letters]
    tokenizer = Tokenizer(models.Unigram([(PAD, 0.0), (END, 0.0), (UNKNOWN, 0.0), *scored], unk_id=2))
    tokenizer.add_special_tokens([PAD, END, UNKNOWN])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(single=f"$A {END}", special_tokens=[(END, 1)])
    return tokenizer


def _config(family: str, tokenizer: Tokenizer) -> PreTrainedConfig:
    common: dict[str, Any] = {
        "vocab_size": tokenizer.get_vocab_size(),
        "d_model": 32,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "decoder_start_token_id": 0,
    }
    if family == "marian":
        return MarianConfig(
            encoder_layers=2, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=4,
            encoder_ffn_dim=64, decoder_ffn_dim=64, max_position_embeddings=CONTEXT, forced_eos_token_id=None, **common,
        )  # fmt: skip
    if family == "t5":
        return T5Config(d_kv=8, d_ff=64, num_layers=2, num_heads=4, **common)
    raise ValueError(f"no family {family!r}: one of {', '.join(TRANSLATORS)}")
