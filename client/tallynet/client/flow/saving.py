"""A flow file on disk: written whole or not at all, readable by its owner alone."""

import os
import secrets
from pathlib import Path

from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.flow_file import FlowFile, write_flow


def save_flow(file: FlowFile, path: Path | str) -> Path:
    """Raises `Misconfigured` when it cannot be written, `InvalidFlow` for one over its caps."""
    path, data = Path(path), write_flow(file)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as written:
            written.write(data)
            written.flush()
            os.fsync(written.fileno())
        part.replace(path)
    except OSError as error:
        raise Misconfigured(
            f"The flow file cannot be written to {path}: {error.strerror}.",
            remedy="Name a file in a folder that exists and that you may write to.",
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return path
