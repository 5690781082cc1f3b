"""The byte-level BPE tokenizer of tally-tiny, learned from its own corpus."""

from __future__ import annotations

from itertools import islice
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from tallynet.devnet.tiny.chat import CHAT_TEMPLATE, END, PADDING, SPECIAL_TOKENS, START
from tallynet.devnet.tiny.corpus import generate_texts

VOCABULARY_SIZE = 2048
MAX_POSITIONS = 1024


def train_tokenizer(seed: int, texts: int = 40_000) -> PreTrainedTokenizerFast:
    """Learn ``VOCABULARY_SIZE`` tokens from the first ``texts`` texts of the corpus; digits stay single."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(islice(generate_texts(seed), texts), trainer)
    return wrap_tokenizer(bpe)


def wrap_tokenizer(bpe: Tokenizer) -> PreTrainedTokenizerFast:
    """Give a BPE the special tokens and the chat template that ``AutoTokenizer`` will load."""
    build: Any = PreTrainedTokenizerFast
    tokenizer: PreTrainedTokenizerFast = build(
        tokenizer_object=bpe,
        bos_token=START,
        eos_token=END,
        pad_token=PADDING,
        padding_side="left",
        model_max_length=MAX_POSITIONS,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer
