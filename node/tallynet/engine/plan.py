"""What a model will need before it is loaded, from its configuration and the headers of its weights alone.

The engine takes the worst case at its start: every slot as long as the context. So a plan that fits once fits for
ever, and a request never meets a machine whose memory is spent. The interpreter and its libraries, about half a
gigabyte, come on top.
"""

import inspect
import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from transformers import AutoConfig
from transformers.cache_utils import DynamicCache
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

from tallynet.engine.batch import PLAIN_LAYERS
from tallynet.engine.cache import SPARE
from tallynet.engine.embedder import read_task
from tallynet.engine.hardware import Hardware, free_bytes
from tallynet.engine.packing import SMALL_PARAMETERS
from tallynet.engine.prefill import PART_TOKENS
from tallynet.engine.reading import LOGIT_BYTES, part_positions
from tallynet.engine.weights import longest_context
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.job import Task

log = logging.getLogger(__name__)

LEAST_CONTEXT = 256
"""A node that holds less is of no use; it says so instead of shrinking further."""

CHOICE_BYTES = 96
"""For each logit of a step: itself in the model's numbers and as float32 and float64, the words of its noise."""

STATES = 12
"""Numbers as long as the widest layer that a pass holds at a time, for each position."""

_BYTES = {"F64": 8, "I64": 8, "U64": 8, "I32": 4, "U32": 4, "I16": 2, "U16": 2, "I8": 1, "U8": 1, "BOOL": 1}
"""Of the numbers that keep their form; all others become the model's dtype."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Bytes, for so many slots of so many tokens."""

    slots: int
    context_length: int
    weights: int
    packed: int
    """Copies of weights in a faster layout."""
    kv: int
    """The buffers of keys and values."""
    prefixes: int
    """Keys and values of prompts that others may begin with."""
    workspace: int
    """The most that a step or a part of a prefill needs besides."""

    @property
    def total(self) -> int:
        return self.weights + self.packed + self.kv + self.prefixes + self.workspace


def plan_memory(directory: Path, hardware: Hardware, slots: int, *limits: int | None) -> Plan:
    """Plan for at most `slots` rows, as long as the model can hold and all `limits` allow, in tokens.

    Raises `Misconfigured` when the directory holds no safetensors model of a kind that transformers knows.
    """
    config, tensors = _read_config(directory), _read_headers(directory)
    context = longest_context(config, *limits)
    if read_task(directory) is Task.EMBED:
        return _plan_embedding(config, tensors, context, hardware.dtype.itemsize)
    slots = slots if _shares_steps(config) else 1
    row, item = _row_bytes(config, hardware.dtype.itemsize), hardware.dtype.itemsize
    parameters = sum(math.prod(shape) for _, shape in tensors.values())
    matrices = sum(math.prod(shape) for _, shape in tensors.values() if len(shape) == 2)
    return Plan(
        slots=slots,
        context_length=context,
        weights=sum(_tensor_bytes(kind, shape, item) for kind, shape in tensors.values()),
        packed=item * (matrices - _looked_up(config)) if _packs(hardware, parameters) else 0,
        kv=slots * (context + SPARE) * row,
        prefixes=context * row,
        workspace=_workspace(config, slots, context, row, item),
    )


def fit_context(directory: Path, hardware: Hardware, slots: int, wanted: int | None, *limits: int | None) -> Plan:
    """The plan to start with. Raises `Misconfigured` when it needs more memory than there is.

    `wanted` is the context length that the operator asks for; without one it is halved until the plan fits.
    """
    plan, free = plan_memory(directory, hardware, slots, wanted, *limits), free_bytes(hardware.device)
    while free is not None and plan.total > free:
        if wanted is not None or plan.context_length // 2 < LEAST_CONTEXT:
            raise Misconfigured(
                f"{plan.slots} slots of {plan.context_length} tokens need {plan.total / 1e9:.1f} GB with the model;"
                f" {free / 1e9:.1f} GB are free on {hardware.device_class}",
                remedy="Lower slots or context_length (`tallynet node plan` tells what they cost), or set dtype.",
            )
        shorter = plan.context_length // 2
        log.warning("a context of %d tokens does not fit the memory; trying %d", plan.context_length, shorter)
        plan = plan_memory(directory, hardware, slots, shorter, *limits)
    return plan


def _plan_embedding(config: Any, tensors: dict[str, tuple[str, list[int]]], context: int, item: int) -> Plan:
    """One prompt at a time in one pass, and nothing that is kept of it."""
    states = context * _widest(config) * STATES * 4
    scores = config.num_attention_heads * context * context * 4
    weights = sum(_tensor_bytes(kind, shape, item) for kind, shape in tensors.values())
    return Plan(1, context, weights, packed=0, kv=0, prefixes=0, workspace=states + scores)


def _read_config(directory: Path) -> Any:
    try:
        config = AutoConfig.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # files from anywhere, read by code of many hands
        raise Misconfigured(f"the configuration in {directory} cannot be read: {error}") from error
    return config.get_text_config(decoder=True)


def _read_headers(directory: Path) -> dict[str, tuple[str, list[int]]]:
    """The dtype and the shape of every tensor of the weights' files."""
    tensors: dict[str, tuple[str, list[int]]] = {}
    for path in sorted(directory.glob("model*.safetensors")):
        try:
            with safe_open(path, framework="pt") as file:
                parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118  # no mapping
                tensors.update({name: (part.get_dtype(), part.get_shape()) for name, part in parts.items()})
        except (SafetensorError, OSError) as error:
            raise Misconfigured(f"the weights in {path.name} cannot be loaded: {error}") from error
    if not tensors:
        raise Misconfigured(f"there are no safetensors weights in {directory}")
    return tensors


def _shares_steps(config: Any) -> bool:
    """As `batch.can_share_steps`, before there is a model."""
    kind: Any = MODEL_FOR_CAUSAL_LM_MAPPING.get(type(config), None)
    takes_positions = kind is not None and "position_ids" in inspect.signature(kind.forward).parameters
    return takes_positions and all(type(layer) in PLAIN_LAYERS for layer in DynamicCache(config=config).layers)


def _row_bytes(config: Any, item: int) -> int:
    """Of the keys and values of one token in all layers."""
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return int(2 * config.num_hidden_layers * heads * size * item)


def _tensor_bytes(kind: str, shape: list[int], item: int) -> int:
    return math.prod(shape) * _BYTES.get(kind, item)


def _packs(hardware: Hardware, parameters: int) -> bool:
    small = parameters <= SMALL_PARAMETERS
    return hardware.device.type == "cpu" and hardware.dtype == torch.float32 and small


def _looked_up(config: Any) -> int:
    """Parameters of the embedding, which is no linear layer; where it is also the head it is packed as that."""
    return 0 if config.tie_word_embeddings else int(config.vocab_size * config.hidden_size)


def _workspace(config: Any, slots: int, context: int, row: int, item: int) -> int:
    """The logits and their choice or their ranks, one prompt's own cache, a pass's states and mask, moving columns."""
    choice = slots * config.vocab_size * CHOICE_BYTES
    scores = part_positions(config.vocab_size) * config.vocab_size * LOGIT_BYTES
    prompt = 2 * context * row
    states = max(PART_TOKENS, slots) * _widest(config) * STATES * 4
    mask = PART_TOKENS * context * 8
    moved = slots * context * row // config.num_hidden_layers
    return int(max(choice, scores) + prompt + states + mask + moved)


def _widest(config: Any) -> int:
    """Numbers of the widest layer, for each position."""
    return int(max(getattr(config, "intermediate_size", None) or 4 * config.hidden_size, config.hidden_size))
