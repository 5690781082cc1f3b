"""Messages over a stream: the only place where bytes from the network become typed messages."""

from typing import TypeVar

import trio

from tallynet.network.transport import EndOfStream, Stream
from tallynet.protocol.errors import NodeUnreachable
from tallynet.protocol.wire import (
    HEADER_BYTES,
    Codec,
    Frame,
    FromClient,
    FromNode,
    InfoAnswer,
    InfoAsk,
    LogAnswer,
    LogAsk,
    decode_length,
    encode_frame,
)

__all__ = [
    "EndOfStream",
    "FROM_CLIENT",
    "FROM_NODE",
    "INFO_ANSWER",
    "INFO_ASK",
    "LOG_ANSWER",
    "LOG_ASK",
    "receive_frame",
    "send_frame",
]

FROM_CLIENT: Codec[FromClient] = Codec(FromClient)
FROM_NODE: Codec[FromNode] = Codec(FromNode)
INFO_ASK: Codec[InfoAsk] = Codec(InfoAsk)
INFO_ANSWER: Codec[InfoAnswer] = Codec(InfoAnswer)
LOG_ASK: Codec[LogAsk] = Codec(LogAsk)
LOG_ANSWER: Codec[LogAnswer] = Codec(LogAnswer)

T = TypeVar("T")


async def send_frame(stream: Stream, frame: Frame, *, seconds: float = 30.0) -> None:
    """Write one message. Raises `NodeUnreachable` when the peer is gone or takes longer than `seconds`."""
    try:
        with trio.fail_after(seconds):
            await stream.send(encode_frame(frame))
    except trio.TooSlowError as error:
        raise NodeUnreachable(f"peer {stream.remote} took nothing for {seconds:g} s.") from error


async def receive_frame(stream: Stream, codec: Codec[T], *, seconds: float) -> T:
    """Read one message.

    Raises `EndOfStream` when the peer has closed its side, `NodeUnreachable` when it is gone or silent for
    `seconds`, `InvalidFrame` for what is no message of `codec`.
    """
    try:
        with trio.fail_after(seconds):
            length = decode_length(await stream.receive(HEADER_BYTES))
            body = await stream.receive(length)
    except trio.TooSlowError as error:
        raise NodeUnreachable(f"peer {stream.remote} was silent for {seconds:g} s.") from error
    return codec.decode(body)
