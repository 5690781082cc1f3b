"""What a node and an engine in its own process say to each other: messages, and the socket that carries them.

Both ends are this program at one version, on one machine: the messages are no protocol, and nothing is versioned.
"""

import struct
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
    """Sends in order; what is said while a write is under way goes out together in the next."""

    def __init__(self, stream: trio.abc.SendStream) -> None:
        self._stream = stream
        self._waiting: list[bytes] = []
        self._news = trio.lowlevel.ParkingLot()

    def say(self, message: Message) -> None:
        """Never waits. What waits is bounded by the answers of the generations that hold a slot."""
        self._waiting.append(encode(message))
        self._news.unpark_all()

    async def run(self) -> None:
        """Write until cancelled. Raises `trio.BrokenResourceError` when the other end is gone."""
        while True:
            while not self._waiting:
                await self._news.park()
            data, self._waiting = b"".join(self._waiting), []
            await self._stream.send_all(data)
