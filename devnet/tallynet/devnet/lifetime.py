"""When a program of the devnet has begun and when it should end: ready files, signals, the parent's life."""

import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import trio

from tallynet.protocol.whole_file import write_whole

PARENT_GONE_SECONDS = 8.0
"""How long a child may tidy up once its parent is gone."""
POLL_SECONDS = 0.05


def write_ready(path: Path, facts: Mapping[str, object]) -> None:
    """Say that the program is ready: the file appears whole or not at all. Raises `Misconfigured`."""
    write_whole(path, f"{json.dumps(facts)}\n".encode(), "ready file")


def read_ready(path: Path) -> dict[str, Any] | None:
    """What a ready file says; None while it is not there."""
    try:
        facts: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return facts


async def stop_signal() -> signal.Signals:
    """Wait for Ctrl-C or SIGTERM."""
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for number in signals:
            return signal.Signals(number)
    raise AssertionError("a signal receiver never ends")


def end_with_parent() -> None:
    """Stop this process once its standard input is closed, as it is when the parent that holds the pipe is gone.

    First as Ctrl-C does, so that a node says goodbye; by force after PARENT_GONE_SECONDS. Works however the parent
    ended, SIGKILL included, because the kernel closes the pipe.
    """
    threading.Thread(target=_wait_for_end_of_input, daemon=True).start()


def _wait_for_end_of_input() -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os.kill(os.getpid(), signal.SIGINT)
    threading.Event().wait(PARENT_GONE_SECONDS)
    os._exit(1)


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody uses now, all different. Somebody may take one before its owner does."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [taken.getsockname()[1] for taken in sockets]
