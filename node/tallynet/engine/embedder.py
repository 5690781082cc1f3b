"""A model that turns a text's tokens into one vector: its hidden states, pooled as its own files say.

`modules.json` and `*_Pooling/config.json` are what sentence-transformers writes beside the weights; where they are
missing, the states are averaged. Source: spec chapter 3, "Embeddings".
"""

import json
from enum import Enum
from pathlib import Path
from typing import cast

import torch
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutput

from tallynet.engine.hardware import Hardware
from tallynet.engine.manifest import CONFIG
from tallynet.engine.weights import load_weights
from tallynet.protocol.embedding import (
    MAX_DIMENSIONS,
    EmbeddingDistance,
    Vector,
    compare_embeddings,
    encode_embedding,
    read_embedding,
)
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.job import Task
from tallynet.protocol.units import TokenIds

MODULES = "modules.json"
KNOWN_MODULES = ("Transformer", "Pooling", "Normalize")
"""Modules of sentence-transformers that need nothing from us but pooling: every vector is normalised here."""

HEADLESS = "Model"
HEADED = ("LMHeadModel", "MTModel")
"""How transformers names classes without a head, and those with one that end in the same word."""


class Pooling(Enum):
    """How the hidden states of all tokens become one vector; the values are the settings' names."""

    MEAN = "pooling_mode_mean_tokens"
    FIRST = "pooling_mode_cls_token"
    LAST = "pooling_mode_lasttoken"


class Embedder:
    """A loaded model. Calls may come from any thread, one at a time."""

    def __init__(self, directory: Path, hardware: Hardware) -> None:
        """Raises `Misconfigured` for a directory that holds no such model, or one with parts that are not known."""
        self.pooling = read_pooling(directory)
        self.model = load_weights(directory, hardware, Task.EMBED)
        self.number_format = hardware.dtype_name
        dimensions = self.model.config.get_text_config().hidden_size
        if dimensions > MAX_DIMENSIONS:
            raise Misconfigured(f"{directory} makes vectors of {dimensions} numbers, more than {MAX_DIMENSIONS}")

    @torch.inference_mode()
    def embed(self, prompt: TokenIds) -> list[float]:
        """The pooled states after `prompt`, (hidden size,) float32; `encode_embedding` brings them to length 1."""
        ids = torch.tensor([prompt], device=self.model.device)
        output = cast(BaseModelOutput, self.model(input_ids=ids, attention_mask=torch.ones_like(ids), return_dict=True))
        states = cast(Tensor, output.last_hidden_state)[0].float()  # (prompt, hidden size)
        return cast(list[float], self._pool(states).tolist())

    def replay(self, prompt: TokenIds, claimed: Vector, number_format: str) -> EmbeddingDistance:
        """How far the vector of an answer, made in `number_format`, is from the one that this model makes here.

        Raises `InvalidChunk` for other dimensions, ValueError when this model's own numbers overflow.
        """
        replayed = read_embedding(encode_embedding(self.embed(prompt)))
        return compare_embeddings(claimed, replayed, number_format, self.number_format)

    def _pool(self, states: Tensor) -> Tensor:
        if self.pooling is Pooling.MEAN:
            return states.mean(dim=0)
        return states[0 if self.pooling is Pooling.FIRST else -1]


def read_task(directory: Path) -> Task:
    """What the model in a directory is for: to embed, where it was saved with its pooling or without a head."""
    if (directory / MODULES).is_file():
        return Task.EMBED
    config = _read(directory / CONFIG)
    names = config.get("architectures") if isinstance(config, dict) else None
    name = str(names[0]) if isinstance(names, list) and names else ""
    return Task.EMBED if name.endswith(HEADLESS) and not name.endswith(HEADED) else Task.GENERATE


def read_pooling(directory: Path) -> Pooling:
    """The pooling that the model's files name. Raises `Misconfigured` for parts or ways of pooling not known here."""
    if not (directory / MODULES).is_file():
        return Pooling.MEAN
    modules = [module for module in _list(_read(directory / MODULES)) if isinstance(module, dict)]
    kinds = [str(module.get("type", "")).rpartition(".")[2] for module in modules]
    unknown = sorted(set(kinds) - set(KNOWN_MODULES))
    if unknown or "Pooling" not in kinds:
        raise Misconfigured(
            f"{directory / MODULES} names {', '.join(unknown) or 'no pooling'}, which is not known here",
            remedy=f"Use a model made of {', '.join(KNOWN_MODULES)} alone.",
        )
    return _named_pooling(directory / str(modules[kinds.index("Pooling")].get("path", "")) / CONFIG)


def _named_pooling(path: Path) -> Pooling:
    settings = _read(path)
    if not isinstance(settings, dict) or not path.parent.name.endswith("_Pooling"):
        raise Misconfigured(f"{path} is not the description of a pooling")
    asked = [name for name, value in settings.items() if name.startswith("pooling_mode_") and value is True]
    if len(asked) != 1 or asked[0] not in {pooling.value for pooling in Pooling}:
        known = ", ".join(pooling.value for pooling in Pooling)
        raise Misconfigured(f"{path} asks for {asked or 'no pooling'}; known is exactly one of {known}")
    return Pooling(asked[0])


def _read(path: Path) -> object:
    try:
        return cast(object, json.loads(path.read_bytes()))
    except (OSError, ValueError) as error:
        raise Misconfigured(f"{path} cannot be read: {error}") from error


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
