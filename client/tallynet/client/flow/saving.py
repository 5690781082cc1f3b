"""A flow file on disk: written whole or not at all, readable by its owner alone."""

from pathlib import Path

from tallynet.protocol.flow_file import FlowFile, write_flow
from tallynet.protocol.whole_file import write_whole


def save_flow(file: FlowFile, path: Path | str) -> Path:
    """Raises `Misconfigured` when it cannot be written, `InvalidFlow` for one over its caps."""
    write_whole(Path(path), write_flow(file), "flow file", mode=0o600)
    return Path(path)
