"""Looking at processes from outside."""

import subprocess
import time
from collections.abc import Iterable

PATIENCE_SECONDS = 60.0


def is_running(pid: int) -> bool:
    """False also for one that has ended and that nobody has asked about yet."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()
    return bool(state) and not state.startswith("Z")


def wait_until_gone(pids: Iterable[int]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while running := [pid for pid in pids if is_running(pid)]:
        assert time.monotonic() < deadline, f"still running: {running}"
        time.sleep(0.1)
