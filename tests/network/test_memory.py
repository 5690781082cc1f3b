"""What only the network in memory can show: peers cut off in the middle, and time that passes at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import MockClock

from tallynet.network import MemoryNetwork, MemoryTransport, PeerAddress, Stream
from tallynet.network.inbox import Inbox
from tallynet.network.transport import STALL_SECONDS, WINDOW_BYTES
from tallynet.protocol.errors import NodeUnreachable
from tallynet.protocol.units import PeerId

if TYPE_CHECKING:
    from tests.network.conftest import MemoryWorld

TOPIC = "tallynet/test/1"
ALICE, BOB = PeerId("alice"), PeerId("bob")


async def wait(stream: Stream) -> None:
    """A handler that says one word and then waits for ever."""
    await stream.send(b"here")
    await trio.sleep_forever()


async def test_a_cut_breaks_streams_and_keeps_the_peer_away_until_it_heals(memory: MemoryWorld) -> None:
    server, client = memory.peer(), memory.peer(listen=None)
    server.serve(memory.echo_protocol, memory.echo)
    async with memory.running(server, client):
        stream = await client.open(memory.where(server), memory.echo_protocol)
        memory.network.cut(server.peer)
        with pytest.raises(NodeUnreachable):
            await stream.receive(1)
        with pytest.raises(NodeUnreachable):
            await client.open(memory.where(server), memory.echo_protocol)

        memory.network.heal(server.peer)
        async with await client.open(memory.where(server), memory.echo_protocol) as again:
            await again.send(b"well")
            assert await again.receive(4) == b"well"


async def test_a_peer_that_is_cut_off_hears_no_gossip(memory: MemoryWorld) -> None:
    one, other = memory.peer(), memory.peer()
    async with memory.running(one, other), other.subscribe(TOPIC) as inbox:
        memory.network.cut(other.peer)
        await one.publish(TOPIC, b"lost")
        memory.network.heal(other.peer)
        await one.publish(TOPIC, b"heard")

        assert await anext(inbox) == (one.peer, b"heard")


async def test_a_cut_wakes_a_reader_that_waits(memory: MemoryWorld) -> None:
    server, client = memory.peer(), memory.peer(listen=None)
    server.serve("/wait", wait)
    async with memory.running(server, client):
        stream = await client.open(memory.where(server), "/wait")
        await stream.receive(4)

        async def cut() -> None:
            await trio.testing.wait_all_tasks_blocked()
            memory.network.cut(client.peer)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(cut)
            with pytest.raises(NodeUnreachable):
                await stream.receive(1)


async def test_a_writer_whose_reader_stalls_gives_up(memory: MemoryWorld, autojump_clock: MockClock) -> None:
    server, client = memory.peer(), memory.peer(listen=None)
    server.serve("/wait", wait)
    async with memory.running(server, client):
        stream = await client.open(memory.where(server), "/wait")
        await stream.send(bytes(WINDOW_BYTES))
        began = trio.current_time()
        with pytest.raises(NodeUnreachable):
            await stream.send(b"more")

        assert trio.current_time() - began == STALL_SECONDS


async def test_a_reader_that_comes_back_in_time_gets_everything(memory: MemoryWorld, autojump_clock: MockClock) -> None:
    got: list[int] = []

    async def read_late(stream: Stream) -> None:
        await trio.sleep(STALL_SECONDS - 1)
        got.append(len(await stream.receive(4 * WINDOW_BYTES)))

    server, client = memory.peer(), memory.peer(listen=None)
    server.serve("/late", read_late)
    async with memory.running(server, client), await client.open(memory.where(server), "/late") as stream:
        await stream.send(bytes(4 * WINDOW_BYTES))
        await trio.testing.wait_all_tasks_blocked()

    assert got == [4 * WINDOW_BYTES]


async def test_where_nothing_is_signed_a_name_is_enough() -> None:
    network = MemoryNetwork()
    alice, bob = MemoryTransport(network, ALICE), MemoryTransport(network, BOB)
    bob.serve("/wait", wait)
    async with alice.run(), bob.run():
        stream = await alice.open(PeerAddress(BOB, ()), "/wait")
        assert await stream.receive(4) == b"here"


async def test_an_address_in_memory_can_be_written_and_read(memory: MemoryWorld) -> None:
    server = memory.peer()

    assert PeerAddress.parse(str(memory.where(server))) == memory.where(server)


async def test_one_peer_runs_once() -> None:
    network = MemoryNetwork()
    async with MemoryTransport(network, ALICE).run():
        with pytest.raises(RuntimeError):
            async with MemoryTransport(network, ALICE).run():
                pass


async def test_a_full_inbox_forgets_its_oldest_messages() -> None:
    inbox = Inbox(capacity=2)
    for number in range(4):
        inbox.put(ALICE, bytes([number]))
    inbox.close()

    assert [data async for _, data in inbox] == [b"\x02", b"\x03"]
