"""One connection under many streams: frames leave together, in order and whole; windows are given back by halves."""

from __future__ import annotations

import struct
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing
from libp2p.io.exceptions import ConnectionClosedError
from libp2p.stream_muxer.yamux.yamux import (
    DEFAULT_WINDOW_SIZE,
    HEADER_SIZE,
    TYPE_DATA,
    TYPE_WINDOW_UPDATE,
    YAMUX_HEADER_FORMAT,
    YamuxStream,
)

from tallynet.network import Stream, muxer
from tallynet.network.muxer import ContainedYamux
from tallynet.network.stream import Libp2pStream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from tests.network.conftest import Libp2pWorld

SECONDS = 30
FRAMES = [bytes([number]) * HEADER_SIZE for number in range(1, 11)]


@dataclass
class Wire:
    """Stands in for what a connection writes to: keeps which of FRAMES were written, one entry a write, once it is let.

    The connection has frames of its own to write meanwhile: pings, and what other streams say.
    """

    open: trio.Event = field(default_factory=trio.Event)
    written: list[bytes] = field(default_factory=list)
    error: Exception | None = None

    async def write(self, data: bytes) -> None:
        await self.open.wait()
        if self.error is not None:
            raise self.error
        if ours := b"".join(frame for frame in frames_of(data) if frame in FRAMES):
            self.written.append(ours)


@dataclass
class Taps:
    """What one side of a connection says, passed on as it comes."""

    write: Callable[[bytes], Awaitable[None]]
    written: list[bytes] = field(default_factory=list)

    async def __call__(self, data: bytes) -> None:
        self.written.append(data)
        await self.write(data)


def connection_of(stream: Stream) -> ContainedYamux:
    assert isinstance(stream, Libp2pStream)
    muxed = stream._stream.muxed_stream
    assert isinstance(muxed, YamuxStream)
    assert isinstance(muxed.conn, ContainedYamux)
    return muxed.conn


@asynccontextmanager
async def connected(libp2p: Libp2pWorld, handler: Callable[[Stream], Awaitable[None]]) -> AsyncIterator[Stream]:
    """A stream to a peer that handles it so."""
    server, client = libp2p.peer(), libp2p.peer(listen=None)
    server.serve("/tallynet/test/muxer/1", handler)
    async with (
        libp2p.running(server, client),
        await client.open(libp2p.where(server), "/tallynet/test/muxer/1") as stream,
    ):
        yield stream


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
async def yamux(libp2p: Libp2pWorld, wire: Wire) -> AsyncIterator[ContainedYamux]:
    """A connection that is up, whose writes go to `wire`."""
    async with connected(libp2p, libp2p.echo) as stream:
        connection = connection_of(stream)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(connection.secured_conn, "write", wire.write)
            yield connection


async def test_frames_that_wait_leave_together_and_in_order(yamux: ContainedYamux, wire: Wire) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(yamux._write_frame, FRAMES[0])
        await trio.testing.wait_all_tasks_blocked()
        for frame in FRAMES[1:]:
            nursery.start_soon(yamux._write_frame, frame)
            await trio.testing.wait_all_tasks_blocked()
        wire.open.set()

    assert b"".join(wire.written) == b"".join(FRAMES)
    assert len(wire.written) <= 2


async def test_frames_past_the_size_of_one_message_leave_in_another(
    yamux: ContainedYamux, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(muxer, "MAX_JOINED_BYTES", 3 * HEADER_SIZE)
    wire.open.set()
    async with trio.open_nursery() as nursery:
        for frame in FRAMES:
            nursery.start_soon(yamux._write_frame, frame)

    assert sorted(b"".join(wire.written)) == sorted(b"".join(FRAMES))
    assert len(wire.written) < len(FRAMES)
    assert max(map(len, wire.written)) <= 3 * HEADER_SIZE


async def test_a_write_that_fails_fails_for_every_frame_in_it(yamux: ContainedYamux, wire: Wire) -> None:
    wire.error = ConnectionClosedError("reset")
    wire.open.set()

    assert await failing(yamux) == FRAMES
    assert wire.written == []


async def test_a_write_that_is_not_taken_in_time_hangs_up_for_every_frame_in_it(
    yamux: ContainedYamux, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(muxer, "WRITE_SECONDS", 0.05)
    with trio.fail_after(SECONDS):
        assert await failing(yamux) == FRAMES
        await yamux.event_shutting_down.wait()
    assert wire.written == []


async def test_a_cancelled_writer_leaves_its_frame_to_be_written_with_the_others(
    yamux: ContainedYamux, wire: Wire
) -> None:
    cancelled = trio.CancelScope()

    async def write(frame: bytes) -> None:
        with cancelled:
            await yamux._write_frame(frame)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(yamux._write_frame, FRAMES[0])
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(yamux._write_frame, FRAMES[1])
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(write, FRAMES[2])
        await trio.testing.wait_all_tasks_blocked()
        cancelled.cancel()
        await trio.testing.wait_all_tasks_blocked()
        wire.open.set()

    assert b"".join(wire.written) == b"".join(FRAMES[:3])


async def test_a_window_is_given_back_once_half_of_it_was_read(
    libp2p: Libp2pWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, large = 32, DEFAULT_WINDOW_SIZE // 2

    async def speak(stream: Stream) -> None:
        for size in (*[1000] * small, large):
            await stream.send(bytes(size))
            await stream.receive(1)

    async with connected(libp2p, speak) as stream:
        connection = connection_of(stream)
        taps = Taps(connection.secured_conn.write)
        monkeypatch.setattr(connection.secured_conn, "write", taps)
        with trio.fail_after(SECONDS):
            for _ in range(small):
                await stream.receive(1000)
                await stream.send(b".")
            before = updates(taps.written)
            await stream.receive(large)
            await stream.send(b".")
            after = updates(taps.written)

    assert before == 0
    assert after >= 1


async def failing(yamux: ContainedYamux) -> list[bytes]:
    """Write all frames at once; those that were not written, in their order."""
    failed: list[bytes] = []

    async def write(frame: bytes) -> None:
        try:
            await yamux._write_frame(frame)
        except ConnectionClosedError:
            failed.append(frame)

    async with trio.open_nursery() as nursery:
        for frame in FRAMES:
            nursery.start_soon(write, frame)
    return sorted(failed)


def updates(written: list[bytes]) -> int:
    """Windows that were given back."""
    headers = [struct.unpack(YAMUX_HEADER_FORMAT, frame[:HEADER_SIZE]) for frame in frames_of(b"".join(written))]
    return sum(kind == TYPE_WINDOW_UPDATE and not flags for _, kind, flags, _, _ in headers)  # flags open streams


def frames_of(data: bytes) -> Iterator[bytes]:
    """One after the other. FRAMES are of another version, and have no payload."""
    while data:
        version, kind, _, _, length = struct.unpack(YAMUX_HEADER_FORMAT, data[:HEADER_SIZE])
        end = HEADER_SIZE + (length if version == 0 and kind == TYPE_DATA else 0)
        yield data[:end]
        data = data[end:]
