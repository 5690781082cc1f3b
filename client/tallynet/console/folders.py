"""Where a user's files live, by the XDG base directory specification; made on first use, mode 0700."""

import os
from pathlib import Path


def config_folder() -> Path:
    """Keys and the default network file; `TALLYNET_CONFIG` names another place."""
    return _made(os.environ.get("TALLYNET_CONFIG") or _base("XDG_CONFIG_HOME", ".config") / "tallynet")


def data_folder() -> Path:
    """Logs of nodes and saved work; `TALLYNET_DATA` names another place."""
    return _made(os.environ.get("TALLYNET_DATA") or _base("XDG_DATA_HOME", ".local/share") / "tallynet")


def _base(variable: str, fallback: str) -> Path:
    return Path(os.environ.get(variable) or Path.home() / fallback)


def _made(folder: str | Path) -> Path:
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path
