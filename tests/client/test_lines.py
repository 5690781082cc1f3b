"""A node resets streams beyond its limit for one peer: a client with many jobs waits, and asks elsewhere first."""

import trio
from trio.testing import MockClock

from tallynet.client.lines import IDLE_SECONDS, Line, Lines
from tallynet.network.memory import MemoryNetwork, MemoryTransport
from tallynet.network.transport import PeerAddress, Stream
from tallynet.protocol.keys import Key
from tallynet.protocol.units import PeerId
from tallynet.protocol.wire import JOB_PROTOCOL
from tests.client.scripted_node import TEXT
from tests.client.world import World

PEER, OTHER = PeerId("peer"), PeerId("other")


async def test_a_line_beyond_the_limit_waits_for_one_that_is_given_back() -> None:
    lines = Lines(each=1)
    first, second = lines.line(PEER), lines.line(PEER)
    await first.take()
    with trio.move_on_after(0.01) as waited:
        await second.take()

    assert waited.cancelled_caught
    assert (lines.free(PEER), lines.free(OTHER)) == (False, True)
    first.release()
    await second.take()
    first.release()

    assert not lines.free(PEER)


async def test_more_jobs_than_a_node_takes_streams_from_one_peer_are_all_answered(
    world: World, autojump_clock: MockClock
) -> None:
    """The memory network keeps libp2p's limit of 64 streams of one peer."""
    node = await world.node(pause=0.5)
    texts = []
    async with world.client() as client:

        async def ask() -> None:
            texts.append((await client.ask("tally-tiny", "Japan?")).text)

        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(ask)

    assert texts == [TEXT] * 100
    assert len(node.submits) == 100


async def test_a_node_with_a_free_line_is_asked_first(world: World) -> None:
    best, other = await world.node(tokens_per_second=1000), await world.node()
    async with world.client() as client:
        await client.ask("tally-tiny", "Japan?")
        directory = client._session.directory
        held = [directory.lines.line(best.transport.peer) for _ in range(48)]
        for line in held:
            await line.take()
        answer = await client.ask("tally-tiny", "Japan?")

    assert answer.node == other.key.address
    assert answer.failures == ()


async def test_a_stream_whose_job_ended_carries_the_next_one(autojump_clock: MockClock) -> None:
    network, lines = MemoryNetwork(), Lines()
    client, node = (MemoryTransport(network, Key(bytes(31) + bytes([number]))) for number in (1, 2))
    node.serve(JOB_PROTOCOL, _listen)
    peer = PeerAddress(node.peer, ())

    async def take(fresh: bool = False) -> tuple[Line, Stream]:
        line = lines.line(node.peer, fresh)
        await line.take()
        return line, await line.stream(client, peer)

    async with client.run(), node.run():
        line, first = await take()
        line.keep(first)
        line, again = await take()
        other, second = await take()
        line.keep(again)
        new, third = await take(fresh=True)
        await trio.sleep(IDLE_SECONDS)
        late, fourth = await take()

    assert again is first and line.reused
    assert len({id(stream) for stream in (first, second, third, fourth)}) == 4
    assert not (other.reused or new.reused or late.reused)


async def _listen(stream: Stream) -> None:
    await stream.receive(1)


async def test_a_stream_that_the_node_closed_costs_no_failure(world: World) -> None:
    """The scripted node closes each stream after its receipt."""
    node = await world.node()
    async with world.client() as client:
        answers = [await client.ask("tally-tiny", f"Question {number}?") for number in range(3)]

    assert [answer.failures for answer in answers] == [()] * 3
    assert len(node.submits) == 3
