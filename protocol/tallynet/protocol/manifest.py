"""A model is the files that decide its output; its name is the digest of their list.

Anyone who has the files can recompute the name: nobody grants it. Source: spec chapter 1, "Model".
"""

import hashlib
import struct
from typing import Annotated

from msgspec import Meta, Struct

from tallynet.protocol.errors import InvalidManifest
from tallynet.protocol.units import Digest, ModelId

_TAG = b"tallynet/model/1\0"


class ManifestFile(Struct, frozen=True, forbid_unknown_fields=True):
    """One file that decides the output."""

    path: Annotated[str, Meta(min_length=1, max_length=255)]
    """Relative to the model's directory, `/` between parts; no part is empty, `.` or `..`."""
    size: Annotated[int, Meta(ge=0, lt=2**53)]
    """Bytes."""
    sha256: Annotated[Digest, Meta(min_length=32, max_length=32)]


class Manifest(Struct, frozen=True, forbid_unknown_fields=True):
    """The files in order of their paths (by Unicode code point), each path once."""

    files: Annotated[tuple[ManifestFile, ...], Meta(min_length=1, max_length=4096)]

    def __post_init__(self) -> None:
        paths = [file.path for file in self.files]
        # (1) the paths are sorted and each stands once
        if paths != sorted(set(paths)):
            raise InvalidManifest("the manifest's paths are not sorted and unique", check=1)
        # (2) no path leaves the directory or names a file in a second way
        for path in paths:
            if {"", ".", ".."}.intersection(path.split("/")) or "\\" in path or not path.isprintable():
                raise InvalidManifest(f"the manifest's path {path!r} is not a plain relative path", check=2)

    @property
    def model_id(self) -> ModelId:
        """SHA-256 over the tag and, per file, `u16 path length ‖ path ‖ u64 size ‖ sha256`."""
        digest = hashlib.sha256(_TAG)
        for file in self.files:
            path = file.path.encode()
            digest.update(struct.pack(">H", len(path)) + path + struct.pack(">Q", file.size) + file.sha256)
        return ModelId(digest.digest())
