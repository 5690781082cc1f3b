"""`tallynet …` as anybody would run it, in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

PATIENCE_SECONDS = 120.0


def run_command(*arguments: str | Path, network: Path) -> tuple[int, dict[str, Any]]:
    """One command with `--json`: its exit code and what it tells. Raises RuntimeError when it tells nothing."""
    done = subprocess.run(
        [sys.executable, "-m", "tallynet.devnet.command", *map(str, arguments), "--json"],
        env={**os.environ, "TALLYNET_NETWORK": str(network)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    if not done.stdout:
        raise RuntimeError(f"the command says nothing: {done.stderr}")
    return done.returncode, json.loads(done.stdout.splitlines()[-1])
