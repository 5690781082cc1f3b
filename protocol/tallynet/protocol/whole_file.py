"""Files of the user's own: read with a bound, written whole or not at all.

A name stands for the old file until the new one is on the disk, whatever stops the program between. Not protected:
two programs that write the same file, of which the later one wins, and whoever else may write to the folder.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tallynet.protocol.errors import Misconfigured


def read_whole(path: Path, most: int, what: str, remedy: str = "Name a file that exists.") -> bytes:
    """The bytes of a file, at most `most` + 1 of them: the caller refuses the last one.

    `what` says in the message what the file is. Raises `Misconfigured` when it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(most + 1)
    except OSError as error:
        raise Misconfigured(f"The {what} {path} cannot be read: {error.strerror}.", remedy=remedy) from error


def write_whole(path: Path, data: bytes, what: str, mode: int = 0o644) -> None:
    """Replace the file by `data`; the old one stands until the new one is on the disk.

    `mode` is what the new file's permissions are, less the umask; those of the old one are lost. A link is replaced,
    not followed. Raises `Misconfigured` when it cannot be written, and leaves the folder as it was.
    """
    try:
        with beside(path, data, mode) as part:
            part.replace(path)
    except OSError as error:
        raise Misconfigured(
            f"The {what} {path} cannot be written: {error.strerror}.",
            remedy="Name a file in a folder that exists and that you may write to.",
        ) from error


def mode_of(path: Path, new: int) -> int:
    """The file's permissions, to write it anew with; `new` where there is none, or none that can be looked at."""
    try:
        return path.stat().st_mode & 0o777
    except OSError:
        return new


@contextmanager
def beside(path: Path, data: bytes, mode: int) -> Iterator[Path]:
    """`data` on the disk, in a new file in the folder of `path` that is gone at the end. Raises `OSError`."""
    part = path.parent / f".{path.name}.{secrets.token_hex(4)}"
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with open(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield part
    finally:
        part.unlink(missing_ok=True)
