"""Files of the auditor's own: read with a bound, written whole or not at all."""

import os
import secrets
from pathlib import Path

from tallynet.protocol.errors import Misconfigured


def read_whole(path: Path, most: int, what: str) -> bytes:
    """The bytes of a file, at most `most` + 1 of them. Raises `Misconfigured` when it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(most + 1)
    except OSError as error:
        raise Misconfigured(
            f"The {what} {path} cannot be read: {error.strerror}.", remedy="Name a file that exists."
        ) from error


def write_whole(path: Path, data: bytes, what: str, mode: int = 0o644) -> None:
    """Replace the file by `data`; the old one stands until the new one is on the disk. Raises `Misconfigured`."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        try:
            with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise Misconfigured(
            f"The {what} {path} cannot be written: {error.strerror}.", remedy="Name a folder that you may write to."
        ) from error
