"""A report on disk: read with a bound, written whole or not at all."""

import os
import secrets
from pathlib import Path

from tallynet.evaluation.report import MAGIC, MAX_REPORT_BYTES, Report, decode_report, encode_report
from tallynet.protocol.errors import Misconfigured


def holds_report(path: Path) -> bool:
    """Whether a file begins as reports of evaluations do. False for one that cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def read_report(path: Path) -> Report:
    """Check (1). Raises `Misconfigured` when there is no such file, `InvalidReport` when it is no report."""
    return decode_report(read_bytes(path))


def read_bytes(path: Path) -> bytes:
    """The bytes of a file, at most one more than a report can have. Raises `Misconfigured` when it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_REPORT_BYTES + 1)
    except OSError as error:
        raise Misconfigured(
            f"The report {path} cannot be read: {error.strerror}.", remedy="Name a file of `tallynet evaluate`."
        ) from error


def write_report(path: Path, report: Report) -> None:
    """Replace the file; an old one stands until the new one is on the disk. Raises `Misconfigured`, `InvalidReport`."""
    data, part = encode_report(report), path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        try:
            with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise Misconfigured(
            f"The report cannot be written to {path}: {error.strerror}.", remedy="Name a folder that you may write to."
        ) from error
