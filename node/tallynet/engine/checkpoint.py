"""Where a model's files lie: a directory, or a Hugging Face hub id that is fetched once into the local cache."""

import re
from dataclasses import dataclass
from pathlib import Path

from tallynet.engine import manifest
from tallynet.protocol.errors import Misconfigured, Unreachable

HUB_ID = re.compile(r"(?P<repository>[\w.-]+(/[\w.-]+)?)(@(?P<revision>[\w./-]+))?")

FILES = (manifest.CONFIG, *manifest.DECLARATIVE, manifest.INDEX, "model*.safetensors")
"""What is fetched: never pickles, never code."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model's files on this machine."""

    name: str
    """What people call it: the hub id without its revision, or the directory's name."""
    directory: Path


def find_checkpoint(spec: str) -> Checkpoint:
    """Find a model by directory, or by hub id `owner/name[@revision]`; an id is downloaded unless it is in the cache.

    Raises `Misconfigured` when there is no such model, `Unreachable` when it cannot be fetched now.
    """
    directory = Path(spec).expanduser()
    if spec and directory.is_dir():
        return Checkpoint(directory.resolve().name, directory)
    match = HUB_ID.fullmatch(spec)
    if match is None or spec.startswith((".", "~")):
        raise Misconfigured(f"there is no model directory {spec!r}", remedy=_REMEDY)
    return Checkpoint(match["repository"], _fetch(match["repository"], match["revision"]))


def _fetch(repository: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=list(FILES)))
    except (HFValidationError, RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise Misconfigured(f"the hub has no model {repository!r} for you: {error}", remedy=_REMEDY) from error
    except OSError as error:
        raise Unreachable(
            f"{repository!r} is neither a directory nor in the local cache, and cannot be fetched: {error}",
            remedy=_REMEDY,
        ) from error


_REMEDY = (
    "Name a directory that holds a Hugging Face causal language model, or a hub id such as owner/name@revision; "
    "private models need a login with `hf auth login`."
)
