"""Loading a model's weights from safetensors, ready to run."""

from collections.abc import Iterable
from pathlib import Path
from typing import cast

import torch
from transformers import AutoConfig, GenerationConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import AutoModel, AutoModelForCausalLM, AutoModelForSeq2SeqLM
from transformers.utils import logging as transformers_logging

from tallynet.engine.hardware import Hardware
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.job import Task

POOLER = "pooler."
"""A part of some models without a head that nothing here uses, and that many files lack."""


def load_weights(
    directory: Path, hardware: Hardware, task: Task = Task.GENERATE, attention: str | None = None
) -> PreTrainedModel:
    """Load on the device, in evaluation mode, without the network; raises `Misconfigured`.

    To generate, a causal language model, or an encoder-decoder model where the configuration says so; to embed, a
    model without a head. `attention` is a kernel that transformers knows, such as `eager` or `sdpa`; None leaves the
    choice to it.
    """
    try:
        model, missing = _load(directory, hardware.dtype, task, attention)
        module = cast(torch.nn.Module, model).to(hardware.device)
    except torch.OutOfMemoryError as error:
        raise Misconfigured(
            f"the model in {directory} does not fit into the memory of {hardware.device_class}",
            remedy="Serve a smaller or quantised model, or set dtype to bfloat16.",
        ) from error
    except Exception as error:  # files from anywhere, read by code of many hands: it raises whatever it likes
        raise Misconfigured(f"the model in {directory} cannot be loaded: {error}") from error
    if task is Task.EMBED:
        missing = {name for name in missing if not name.startswith(POOLER)}
    if missing:  # transformers would make them up
        raise Misconfigured(
            f"the weights in {directory} lack {len(missing)} of the model's tensors, such as {min(missing)}",
            remedy="Fetch the model again, or check that config.json belongs to these weights.",
        )
    return cast(PreTrainedModel, module.eval().requires_grad_(False))


def _load(directory: Path, dtype: torch.dtype, task: Task, attention: str | None) -> tuple[PreTrainedModel, set[str]]:
    """The model, and the names of tensors that its files lack."""
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    loaded: object = _kind(directory, task).from_pretrained(
        directory,
        dtype=dtype,
        attn_implementation=attention,
        local_files_only=True,
        use_safetensors=True,
        trust_remote_code=False,
        output_loading_info=True,
    )
    model, report = cast(tuple[PreTrainedModel, dict[str, Iterable[str]]], loaded)
    return model, set(report["missing_keys"])


def _kind(directory: Path, task: Task) -> type[AutoModel] | type[AutoModelForCausalLM] | type[AutoModelForSeq2SeqLM]:
    if task is Task.EMBED:
        return AutoModel
    config = AutoConfig.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
    return AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM


def context_length(model: PreTrainedModel, *limits: int | None) -> int:
    """Tokens the model can hold: the smallest of what its configuration and `limits` say; 2048 if none says."""
    return longest_context(model.config.get_text_config(decoder=True), *limits)


def longest_context(config: object, *limits: int | None) -> int:
    """The same from the decoder's configuration."""
    said = [getattr(config, "max_position_embeddings", None), *limits]
    return min((limit for limit in said if isinstance(limit, int) and limit > 0), default=2048)


def vocabulary_size(model: PreTrainedModel) -> int:
    """Columns of the logits; may exceed the tokenizer's own count."""
    return cast(int, model.config.get_text_config(decoder=True).vocab_size)


def end_tokens(model: PreTrainedModel, *others: int | None) -> frozenset[int]:
    """Every token that ends an answer: the generation configuration's, the model's, and `others`."""
    config = model.config.get_text_config(decoder=True)
    generation = cast(GenerationConfig | None, model.generation_config)
    said = [config.eos_token_id, generation and generation.eos_token_id, *others]
    return frozenset(token for value in said for token in _ids(value))


def _ids(value: object) -> Iterable[int]:
    values = value if isinstance(value, list | tuple) else [value]
    return (item for item in values if isinstance(item, int))
