"""The files of a model directory that decide its output, checked to be safe to load, as a manifest.

Only safetensors weights and declarative files count as a model: pickles run code when they are read, and custom
modelling code runs when it is imported, so both are refused and never loaded. Files beside these (readme, images,
weights in other formats) are neither read by the engine nor part of the manifest. Source: spec chapter 1, "Model".
"""

import hashlib
import json
from pathlib import Path
from typing import cast

from tallynet.protocol.errors import InvalidManifest, Misconfigured
from tallynet.protocol.manifest import Manifest, ManifestFile
from tallynet.protocol.units import Digest

CONFIG = "config.json"
INDEX = "model.safetensors.index.json"
WEIGHTS = "model.safetensors"
TOKENIZER_CONFIG = "tokenizer_config.json"
ADAPTER = "adapter_config.json"

DECLARATIVE = (
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "generation_config.json",
    "merges.txt",
    "modules.json",
    "special_tokens_map.json",
    "tekken.json",
    "tokenizer.json",
    TOKENIZER_CONFIG,
    "vocab.json",
    "vocab.txt",
    "*_Pooling/config.json",
    "*.model",
    "*.spm",
    "*.tiktoken",
    "additional_chat_templates/*.jinja",
)
"""Optional files, as patterns, that decide how text becomes tokens and text again, and when a generation ends."""

ELSEWHERE = ("auto_map", "transformers_weights", "configuration_files", "fast_tokenizer_files")
"""Settings that make transformers load code, or files under names that the manifest does not expect."""

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")

BLOCK = 1 << 20


def read_manifest(directory: Path) -> Manifest:
    """Hash the model in `directory`. Raises `Misconfigured` for a directory that is no model or not safe to load."""
    refuse_code(directory)
    weights = _weight_files(directory)
    declared = [path for pattern in DECLARATIVE for path in directory.glob(pattern) if path.is_file()]
    paths = sorted({CONFIG, *weights, *(path.relative_to(directory).as_posix() for path in declared)})
    try:
        return Manifest(tuple(_entry(directory, path) for path in paths))
    except InvalidManifest as error:
        raise Misconfigured(f"{directory} cannot be named by a manifest: {error.message}") from error
    except OSError as error:
        raise Misconfigured(f"the model in {directory} cannot be read: {error}") from error


def refuse_code(directory: Path) -> None:
    """Raise `Misconfigured` unless loading the directory runs no code of its own."""
    # (1) there is a configuration
    config = _read_json(directory / CONFIG)
    # (2) neither it nor the tokenizer's names custom code or other files
    optional = directory / TOKENIZER_CONFIG
    settings = config | (_read_json(optional) if optional.is_file() else {})
    foreign = [name for name in ELSEWHERE if name in settings]
    if foreign:
        raise Misconfigured(
            f"the model in {directory} names code or files of its own, which are never loaded: {', '.join(foreign)}",
            remedy="Use a model whose architecture is part of transformers, saved with save_pretrained.",
        )
    # (3) no custom code lies beside it
    scripts = sorted(path.name for path in directory.glob("*.py"))
    if scripts:
        raise Misconfigured(
            f"the model directory {directory} holds Python code: {', '.join(scripts)}",
            remedy="Use a model whose architecture is part of transformers, in a directory without *.py files.",
        )
    # (4) no adapter would change the weights
    if (directory / ADAPTER).is_file():
        raise Misconfigured(
            f"{directory} holds an adapter ({ADAPTER}), not a whole model",
            remedy="Merge the adapter into its base model and serve the merged directory.",
        )


def _weight_files(directory: Path) -> list[str]:
    """The safetensors files that transformers loads: one file, or an index and its shards."""
    if (directory / WEIGHTS).is_file():
        return [WEIGHTS]
    if (directory / INDEX).is_file():
        shards = sorted(set(_shards(directory)))
        return [INDEX, *shards]
    pickles = sorted(path.name for path in directory.iterdir() if path.suffix in PICKLES)
    found = f"only pickled weights ({', '.join(pickles)}), which run code when read" if pickles else "no weights"
    raise Misconfigured(
        f"the model in {directory} has {found}",
        remedy="Use a safetensors version of the model, or convert it with save_pretrained.",
    )


def _shards(directory: Path) -> list[str]:
    names = _read_json(directory / INDEX).get("weight_map")
    shards = list(names.values()) if isinstance(names, dict) else []
    if not shards or not all(isinstance(name, str) and Path(name).name == name for name in shards):
        raise Misconfigured(f"{INDEX} in {directory} does not list the weight files beside it")
    return shards


def _read_json(path: Path) -> dict[str, object]:
    try:
        settings = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise Misconfigured(
            f"{path} cannot be read: {error}",
            remedy="Name a directory with a Hugging Face causal language model: config.json, tokenizer, safetensors.",
        ) from error
    if not isinstance(settings, dict):
        raise Misconfigured(f"{path} is not a JSON object")
    return cast(dict[str, object], settings)


def _entry(directory: Path, path: str) -> ManifestFile:
    digest, size = hashlib.sha256(), 0
    with (directory / path).open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
            size += len(block)
    return ManifestFile(path, size, Digest(digest.digest()))
