"""A process with everything of a node imported, which becomes a node by forking: in milliseconds, not seconds.

What then runs is the program itself, `python -m tallynet.node run …`, in a process of its own that can be killed. An
order is one line of JSON, `{"start": [arguments of tallynet.node], "log": path}` or `{"kill": pid}`; it is answered
with the process's id once it is done. No thread and no loop runs here: only then may one fork.
"""

import importlib
import json
import os
import runpy
import signal
import sys
import threading
from typing import NoReturn

from tallynet.devnet.lifetime import end_with_parent

HEAVY = (
    "eth_account",
    "hypercorn.trio",
    "tallynet.ledger.chain",
    "tallynet.network.host",
    "tallynet.node.commands",
    "tallynet.node.program",
)
"""What a node imports, sooner or later."""


def main() -> None:
    """Carry out orders until standard input ends. The nodes end with us, however we end."""
    for module in HEAVY:
        importlib.import_module(module)
    if threading.active_count() > 1:
        raise RuntimeError(f"an import has started threads: {threading.enumerate()}")
    lifelines: list[int] = []
    _answer("ready")
    for line in iter(sys.stdin.readline, ""):
        order = json.loads(line)
        _answer(_kill(order["kill"]) if "kill" in order else _start(order["start"], order["log"], lifelines))


def _start(arguments: list[str], log: str, lifelines: list[int]) -> int:
    """Fork a node; returns its process id. `lifelines` are our ends of the pipes that the nodes have as their input."""
    theirs, ours = os.pipe()
    lifelines.append(ours)
    pid = os.fork()
    if not pid:
        _become_a_node(arguments, log, theirs, lifelines)
    os.close(theirs)
    return pid


def _kill(pid: int) -> int:
    """As if somebody had pulled the plug; returns when the process is gone."""
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return pid


def _become_a_node(arguments: list[str], log: str, lifeline: int, others: list[int]) -> NoReturn:
    for other in others:
        os.close(other)
    os.dup2(lifeline, 0)
    written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(written, 1)
    os.dup2(written, 2)
    end_with_parent()
    sys.argv = ["tallynet.node", *arguments]
    try:
        runpy.run_module("tallynet.node", run_name="__main__", alter_sys=True)
    finally:
        sys.stderr.flush()
        os._exit(1)  # nothing of the zygote goes on in here


def _answer(said: object) -> None:
    sys.stdout.write(f"{said}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
