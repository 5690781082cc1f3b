"""The process that a model runs in, seen from the node: started, waited for, and ended.

`child` is what runs in it, `apart` the engine that speaks with it.
"""

import logging
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass

import trio

from tallynet.engine.engine import EngineInfo
from tallynet.engine.line import READ_BYTES, Decoder, Failed, FromEngine, Loaded, error_of
from tallynet.protocol.errors import Misconfigured, Unreachable

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
"""Between the end of a process and the start of the next: doubled each time that one does not start."""

LINGER_SECONDS = 2.0
"""How long a process may take to end once the line is closed."""

READ_LOG = "Read above what it said; the machine may have run out of memory."


@dataclass(frozen=True)
class Child:
    """A process with a loaded model."""

    process: subprocess.Popen[bytes]
    line: socket.socket
    """The node's end; closing it ends the process."""
    info: EngineInfo
    tokens_per_second: float
    """As the engine said once it was loaded."""

    def end(self) -> str:
        """End it, after LINGER_SECONDS by force. Blocks, idempotent; says how it ended."""
        return _end(self.process, self.line)


def start(settings: str) -> Child:
    """Start a process; blocks until the model is loaded. `settings` are those of `child`, as JSON.

    Raises what `opening.open_engine` raises there, and `Unreachable` when the process ends before.
    """
    return _until_loaded(*_spawn(settings))


async def start_patiently(settings: str) -> Child:
    """Start a process in place of one that has ended, tried until it loads the model; says in the log why it did not.

    Waits before each try, FIRST_PAUSE_SECONDS and then longer. Cancelling it ends the process.
    """
    pause = FIRST_PAUSE_SECONDS
    while True:
        await trio.sleep(pause)
        try:
            return await _start_again(settings)
        except (Unreachable, Misconfigured) as error:  # it started once with these settings: only the moment is wrong
            log.error("the engine does not start: %s", error)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


async def _start_again(settings: str) -> Child:
    """As `start`. Cancelling it ends the process, however long the model still takes."""
    process, line = await trio.to_thread.run_sync(_spawn, settings)
    try:
        return await trio.to_thread.run_sync(_until_loaded, process, line, abandon_on_cancel=True)
    except trio.Cancelled:
        process.kill()  # the thread hears of it, and closes the line
        raise


def _spawn(settings: str) -> tuple["subprocess.Popen[bytes]", socket.socket]:
    line, theirs = socket.socketpair()
    with theirs:
        command = [sys.executable, "-m", "tallynet.engine.child", str(theirs.fileno()), settings]
        return subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL), line


def _until_loaded(process: "subprocess.Popen[bytes]", line: socket.socket) -> Child:
    try:
        first = _first_word(line, process)
        if isinstance(first, Failed):
            raise error_of(first)
        if not isinstance(first, Loaded):
            raise TypeError(f"an engine begins with Loaded, not with {type(first).__name__}")
    except BaseException:
        _end(process, line)
        raise
    info = EngineInfo.of(
        first.name, first.manifest, first.environment, context_length=first.context_length,
        vocabulary_size=first.vocabulary_size, slots=first.slots, evidence=first.evidence,
        task=first.task, unheeded=first.unheeded, scores=first.scores, planned_bytes=first.planned_bytes,
        wishes=first.wishes,
    )  # fmt: skip
    return Child(process, line, info, first.tokens_per_second)


def _first_word(line: socket.socket, process: subprocess.Popen[bytes]) -> FromEngine:
    decoder = Decoder[FromEngine](FromEngine)
    while data := line.recv(READ_BYTES):
        for message in decoder.feed(data):
            return message
    raise Unreachable(f"the engine's process {_end(process, line)} while it loaded the model", remedy=READ_LOG)


def _end(process: subprocess.Popen[bytes], line: socket.socket) -> str:
    """It keeps nothing, so it is killed when it lingers. Idempotent; says how it ended."""
    line.close()
    try:
        code = process.wait(LINGER_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return "was killed"
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
