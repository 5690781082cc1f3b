"""What a process holds of the machine's memory now, as Linux tells it. Memory of a GPU is not counted."""

import os
from pathlib import Path

PROCESSES = Path("/proc")


def resident_bytes(pid: int) -> int | None:
    """Pages of the process in memory, shared ones included; None where the system does not tell or it has ended."""
    try:
        pages = int((PROCESSES / str(pid) / "statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")
