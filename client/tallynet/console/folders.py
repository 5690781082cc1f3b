"""Where a user's files live, by the XDG base directory specification; made on first use, mode 0700."""

import os
from pathlib import Path


def config_folder() -> Path:
    """Keys and the default network file; `TALLYNET_CONFIG` names another place."""
    return _made(os.environ.get("TALLYNET_CONFIG") or _base("XDG_CONFIG_HOME", ".config") / "tallynet")


def data_folder() -> Path:
    """Logs of nodes and saved work; `TALLYNET_DATA` names another place."""
    return _made(os.environ.get("TALLYNET_DATA") or _base("XDG_DATA_HOME", ".local/share") / "tallynet")


def state_folder() -> Path:
    """What programs remember between runs; `TALLYNET_STATE` names another place."""
    return _made(os.environ.get("TALLYNET_STATE") or _base("XDG_STATE_HOME", ".local/state") / "tallynet")


def receipts_folder() -> Path:
    """The receipts of the user's own runs, one `<job id in hex>.tally` each, as the client keeps them."""
    return _made(state_folder() / "receipts")


def _base(variable: str, fallback: str) -> Path:
    return Path(os.environ.get(variable) or Path.home() / fallback)


def _made(folder: str | Path) -> Path:
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path
