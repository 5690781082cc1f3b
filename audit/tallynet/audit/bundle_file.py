"""A bundle on disk: read with a bound, replaced whole or not at all."""

import os
from pathlib import Path

from tallynet.protocol.bundle import MAX_BUNDLE_BYTES, Bundle, write_bundle
from tallynet.protocol.errors import Misconfigured


def read_file(path: Path) -> bytes:
    """The bytes of a file, at most one more than a bundle can have. Raises `Misconfigured` when it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BUNDLE_BYTES + 1)
    except OSError as error:
        raise Misconfigured(
            f"The bundle {path} cannot be read: {error.strerror}.", remedy="Name a .tally file that exists."
        ) from error


def write_file(path: Path, bundle: Bundle) -> None:
    """As `replace_file`, also where there is no file yet. Raises `Misconfigured` when it cannot be written."""
    try:
        replace_file(path, bundle)
    except OSError as error:
        raise Misconfigured(
            f"The bundle {path} cannot be written: {error.strerror}.", remedy="Name a folder that you may write to."
        ) from error


def replace_file(path: Path, bundle: Bundle) -> None:
    """Write `bundle` in place of the file, with its permissions; those of a new file are the owner's alone.

    Raises `OSError`; the old file then still stands.
    """
    path = path.resolve()
    part = path.with_name(f".{path.name}.part")
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as file:
            file.write(write_bundle(bundle))
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
