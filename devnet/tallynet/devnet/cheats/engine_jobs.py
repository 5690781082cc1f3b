"""What the trials of engine cheats ask, and the second model they ask it of."""

import shutil
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from tallynet.audit.calibration import jobs
from tallynet.devnet.plan import DEFAULT_MODEL
from tallynet.engine.engine import Generation
from tallynet.engine.manifest import CONFIG, WEIGHTS
from tallynet.engine.replay import Replayer
from tallynet.protocol.commitment import seed
from tallynet.protocol.job import MILLION, Sampling
from tallynet.protocol.request import Message, Request

STORIES = (
    "Tell me a story about a fox.", "Write a short story about a red boat.", "Tell me a story about an old clock.",
    "Write a story about a lost key.", "Tell me a story about a girl and a dog.", "Tell me a story about winter.",
)  # fmt: skip
"""Long answers."""
SHORT_TOKENS = 16
SPREAD = 0.02
"""Of random weights: what models are trained from. Larger ones multiply float noise from layer to layer."""
HEAD_SPREAD = 0.12
"""Of the head's: enough that some tokens are clearly likelier than others."""


def run_jobs(
    replayer: Replayer, runs: int, max_tokens: int, heat: int = MILLION, top_p: int = MILLION
) -> list[Generation]:
    """Long sampled runs."""
    sampling = Sampling(max_tokens, heat, 0, top_p)
    requests = [Request(messages=(Message("user", STORIES[number % len(STORIES)]),)) for number in range(runs)]
    return [
        Generation(replayer.encode(request), sampling, seed(b"trial" + number.to_bytes(4)))
        for number, request in enumerate(requests)
    ]


def short_jobs(replayer: Replayer, count: int, offset: int, *, sampled: bool = False) -> list[Generation]:
    """Runs of one group, over all prompts and samplings; `sampled` stories alone, so that all groups are full."""
    if sampled:
        return run_jobs(replayer, count, SHORT_TOKENS)
    return jobs(replayer, count, SHORT_TOKENS, offset=offset)


def make_random_model(folder: Path) -> Path:
    """A Llama of random weights, always the same, with the tokenizer of the model that comes with the package."""
    folder.mkdir(parents=True)
    for file in DEFAULT_MODEL.iterdir():
        if file.name not in (CONFIG, WEIGHTS):
            shutil.copy(file, folder / file.name)
    config = LlamaConfig(
        vocab_size=2048, hidden_size=256, intermediate_size=768, num_hidden_layers=6, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=1024, initializer_range=SPREAD, bos_token_id=1, eos_token_id=2,
        pad_token_id=0,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(11)
        model = LlamaForCausalLM(config)
        torch.nn.init.normal_(model.lm_head.weight, std=HEAD_SPREAD)
        model.save_pretrained(folder)
    return folder
