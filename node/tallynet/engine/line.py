"""What a node and an engine in its own process say to each other: messages, and the socket that carries them.

Both ends are this program at one version, on one machine: the messages are no protocol, and nothing is versioned.
"""

import logging
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

import trio
from msgspec import Struct, msgpack

from tallynet.engine.engine import Generation, Piece
from tallynet.protocol.errors import Busy, Deferred, Invalid, InvalidJob, Misconfigured, TallyError, Unreachable
from tallynet.protocol.job import Task
from tallynet.protocol.manifest import Manifest
from tallynet.protocol.request import Request
from tallynet.protocol.units import TokenIds

log = logging.getLogger(__name__)

HEADER = struct.Struct(">I")
READ_BYTES = 1 << 18


class Message(Struct, frozen=True, tag=True):
    """Whatever is said; `number` tells which generation or question it is about."""


# --- from the node ---------------------------------------------------------------------------------------


class Begin(Message, frozen=True):
    number: int
    generation: Generation


class Leave(Message, frozen=True):
    """Nobody reads generation `number` any more."""

    number: int


class Tokenize(Message, frozen=True):
    number: int
    request: Request


# --- from the engine -------------------------------------------------------------------------------------


class Loaded(Message, frozen=True):
    """The first word: the model is loaded. The fields are those that `EngineInfo.of` takes."""

    name: str
    manifest: Manifest
    environment: str
    context_length: int
    vocabulary_size: int
    slots: int
    evidence: str
    task: Task
    unheeded: tuple[str, ...]
    scores: bool
    planned_bytes: int
    wishes: tuple[str, ...]
    tokens_per_second: float


class Admitted(Message, frozen=True):
    """Generation `number` holds a slot."""

    number: int


class Said(Message, frozen=True):
    number: int
    piece: Piece
    tokens_per_second: float


class Tokens(Message, frozen=True):
    number: int
    tokens: TokenIds


class Failed(Message, frozen=True):
    """An error of generation or question `number`; of the engine itself when that is 0."""

    number: int
    code: str
    message: str
    remedy: str
    retry_after_ms: int = 0
    check: int | None = None


FromNode = Begin | Leave | Tokenize
FromEngine = Loaded | Admitted | Said | Tokens | Failed


def failure(number: int, error: TallyError) -> Failed:
    retry = error.retry_after_ms if isinstance(error, Deferred) else 0
    check = error.check if isinstance(error, Invalid) else None
    return Failed(number, error.code, error.message, error.remedy, retry, check)


def error_of(failed: Failed) -> TallyError:
    """The error to raise on this side: one of those that `Engine` names."""
    if failed.code == InvalidJob.code:
        return InvalidJob(failed.message, check=failed.check, remedy=failed.remedy)
    if failed.code == Busy.code:
        return Busy(failed.message, retry_after_ms=failed.retry_after_ms, remedy=failed.remedy)
    kind = Misconfigured if failed.code == Misconfigured.code else Unreachable
    return kind(failed.message, remedy=failed.remedy)


T = TypeVar("T")

_ENCODER = msgpack.Encoder()


def encode(message: Message) -> bytes:
    body = _ENCODER.encode(message)
    return HEADER.pack(len(body)) + body


class Decoder(Generic[T]):
    """Bytes as they come into messages."""

    def __init__(self, union: Any) -> None:
        """`union` is FromNode or FromEngine."""
        self._decoder: msgpack.Decoder[T] = msgpack.Decoder(union)
        self._unread = bytearray()

    def feed(self, data: bytes) -> Iterator[T]:
        """The messages that are complete with `data`."""
        self._unread += data
        at, have = 0, len(self._unread)
        while have - at >= HEADER.size:
            (length,) = HEADER.unpack_from(self._unread, at)
            if have - at - HEADER.size < length:
                break
            body = bytes(self._unread[at + HEADER.size : at + HEADER.size + length])
            at += HEADER.size + length
            yield self._decoder.decode(body)
        del self._unread[:at]


class Mouth:
    """Sends in order, from any thread. The decoding thread speaks for itself: a turn of the trio loop for every piece
    would take the interpreter lock from it, and with it the next step."""

    def __init__(self, line: socket.socket) -> None:
        """`line` does not block. To be made inside the loop that `run` is to run in."""
        self._line = line
        self._loop = trio.lowlevel.current_trio_token()
        self._lock = threading.Lock()
        self._waiting = bytearray()
        self._full = trio.Event()
        """The socket takes no more now: what waits is for `run` to send."""
        self._gone = False

    def say(self, *messages: Message) -> None:
        """Never waits. What waits is bounded by the answers of the generations that hold a slot."""
        with self._lock:
            following = bool(self._waiting)
            self._waiting += b"".join(map(encode, messages))
            if following or self._send():
                return
        self._loop.run_sync_soon(self._full.set)

    async def run(self) -> None:
        """Send what the socket did not take at once, until cancelled."""
        while True:
            await self._full.wait()
            self._full = trio.Event()
            done = False
            while not done:
                await trio.lowlevel.wait_writable(self._line)
                with self._lock:
                    done = self._send()

    def _send(self) -> bool:
        """As much as the socket takes now; whether nothing waits any more."""
        try:
            if not self._gone:
                del self._waiting[: self._line.send(self._waiting)]
        except BlockingIOError:
            return False
        except OSError as error:  # whoever listens to the other end hears its end
            log.debug("nobody is at the other end: %s", error)
            self._gone = True
        if self._gone:
            self._waiting.clear()
        return not self._waiting
