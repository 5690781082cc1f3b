"""A report on disk: read with a bound, written whole or not at all."""

from pathlib import Path

from tallynet.evaluation.report import MAGIC, MAX_REPORT_BYTES, Report, decode_report, encode_report
from tallynet.protocol.whole_file import read_whole, write_whole


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
    return read_whole(path, MAX_REPORT_BYTES, "report", remedy="Name a file of `tallynet evaluate`.")


def write_report(path: Path, report: Report) -> None:
    """Replace the file; an old one stands until the new one is on the disk. Raises `Misconfigured`, `InvalidReport`."""
    write_whole(path, encode_report(report), "report")
