"""What every transport promises, kept by the one in memory and by libp2p alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from tallynet.network import EndOfStream, Limits, PeerAddress, Stream, Transport
from tallynet.network.transport import MAX_GOSSIP_BYTES
from tallynet.protocol.errors import NodeUnreachable
from tallynet.protocol.keys import Key
from tallynet.protocol.units import ModelId

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.network.conftest import World

MODEL = ModelId(b"\x11" * 32)
TOPIC = "tallynet/test/1"
MIB = 1024 * 1024


@pytest.fixture
async def server(world: World) -> AsyncIterator[Transport]:
    """A running peer that serves the echo protocol."""
    transport = world.peer()
    transport.serve(world.echo_protocol, world.echo)
    async with transport.run():
        yield transport


@pytest.fixture
async def client(world: World) -> AsyncIterator[Transport]:
    """A running peer that only dials."""
    transport = world.peer(listen=None)
    async with transport.run():
        yield transport


async def test_an_echo_comes_back_from_the_peer_that_was_asked(
    world: World, server: Transport, client: Transport
) -> None:
    async with await client.open(world.where(server), world.echo_protocol) as stream:
        await stream.send(b"tall")
        answer = await stream.receive(4)

    assert answer == b"tall"
    assert stream.remote == server.peer


async def test_the_handler_knows_who_calls(world: World, server: Transport, client: Transport) -> None:
    async def tell(stream: Stream) -> None:
        await stream.send(stream.remote.encode())

    server.serve("/tallynet/test/who/1", tell)
    async with await client.open(world.where(server), "/tallynet/test/who/1") as stream:
        assert await stream.receive(len(client.peer)) == client.peer.encode()


async def test_bytes_are_received_in_other_pieces_than_they_were_sent(
    world: World, server: Transport, client: Transport
) -> None:
    async with await client.open(world.where(server), world.echo_protocol) as stream:
        await stream.send(b"abcdefgh")
        pieces = [await stream.receive(count) for count in (1, 5, 2)]

    assert pieces == [b"a", b"bcdef", b"gh"]


async def test_after_a_half_close_the_answer_still_comes(world: World, server: Transport, client: Transport) -> None:
    async def count(stream: Stream) -> None:
        total = 0
        try:
            while await stream.receive(1):
                total += 1
        except EndOfStream:
            await stream.send(total.to_bytes(4, "big"))

    server.serve("/tallynet/test/count/1", count)
    async with await client.open(world.where(server), "/tallynet/test/count/1") as stream:
        await stream.send(b"12345")
        await stream.finish()
        await stream.finish()
        answer = await stream.receive(4)
        with pytest.raises(EndOfStream):
            await stream.receive(1)

    assert answer == b"\0\0\0\x05"


async def test_an_end_in_the_middle_of_a_message_is_a_loss(world: World, server: Transport, client: Transport) -> None:
    async def stop_early(stream: Stream) -> None:
        await stream.send(b"ab")

    server.serve("/tallynet/test/short/1", stop_early)
    async with await client.open(world.where(server), "/tallynet/test/short/1") as stream:
        with pytest.raises(NodeUnreachable):
            await stream.receive(4)


async def test_sending_after_finish_is_a_bug_of_the_caller(world: World, server: Transport, client: Transport) -> None:
    async with await client.open(world.where(server), world.echo_protocol) as stream:
        await stream.finish()
        with pytest.raises(RuntimeError):
            await stream.send(b"more")


async def test_an_abort_reaches_the_handler(world: World, server: Transport, client: Transport) -> None:
    ended = trio.Event()

    async def wait(stream: Stream) -> None:
        await stream.send(b"here")
        with pytest.raises(NodeUnreachable):
            await stream.receive(1)
        ended.set()

    server.serve("/tallynet/test/wait/1", wait)
    stream = await client.open(world.where(server), "/tallynet/test/wait/1")
    await stream.receive(4)
    await stream.abort()
    await stream.abort()
    with trio.fail_after(30):
        await ended.wait()


async def test_leaving_the_block_by_an_error_aborts(world: World, server: Transport, client: Transport) -> None:
    ended = trio.Event()

    async def wait(stream: Stream) -> None:
        await stream.send(b"here")
        with pytest.raises(NodeUnreachable):
            await stream.receive(1)
        ended.set()

    server.serve("/tallynet/test/wait/1", wait)
    with pytest.raises(KeyError):
        async with await client.open(world.where(server), "/tallynet/test/wait/1") as stream:
            await stream.receive(4)
            raise KeyError
    with trio.fail_after(30):
        await ended.wait()


async def test_a_cancelled_caller_leaves_the_connection_to_others(
    world: World, server: Transport, client: Transport
) -> None:
    async def swallow(stream: Stream) -> None:
        await stream.receive(64 * MIB)

    server.serve("/tallynet/test/swallow/1", swallow)
    async with await client.open(world.where(server), world.echo_protocol) as other:
        for seconds in (0.0, 0.01, 0.03):
            with trio.move_on_after(seconds):
                async with await client.open(world.where(server), "/tallynet/test/swallow/1") as stream:
                    await stream.send(bytes(16 * MIB))
            await other.send(b"well")
            assert await other.receive(4) == b"well"


async def test_an_unknown_protocol_is_named(world: World, server: Transport, client: Transport) -> None:
    with pytest.raises(NodeUnreachable, match="does not speak /tallynet/none/1"):
        await client.open(world.where(server), "/tallynet/none/1")


async def test_a_handler_that_raises_costs_its_own_stream_only(
    world: World, server: Transport, client: Transport
) -> None:
    async def fail(stream: Stream) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            raise ZeroDivisionError("a bug in a handler")

    server.serve("/tallynet/test/fail/1", fail)
    async with await client.open(world.where(server), world.echo_protocol) as other:
        with pytest.raises(NodeUnreachable):
            async with await client.open(world.where(server), "/tallynet/test/fail/1") as stream:
                await stream.receive(1)
        await other.send(b"well")
        assert await other.receive(4) == b"well"


async def test_a_peer_that_leaves_breaks_its_streams(world: World, client: Transport) -> None:
    server = world.peer()
    server.serve(world.echo_protocol, world.echo)
    async with server.run():
        where = world.where(server)
        stream = await client.open(where, world.echo_protocol)
        await stream.send(b"here")
        await stream.receive(4)
    with trio.fail_after(30), pytest.raises(NodeUnreachable):
        await stream.receive(4)
    with trio.fail_after(30), pytest.raises(NodeUnreachable):
        await client.open(where, world.echo_protocol)


async def test_a_client_that_leaves_is_noticed_by_the_handler(world: World, server: Transport) -> None:
    ended = trio.Event()

    async def wait(stream: Stream) -> None:
        await stream.send(b"here")
        with pytest.raises(NodeUnreachable):
            await stream.receive(1)
        ended.set()

    server.serve("/tallynet/test/wait/1", wait)
    client = world.peer(listen=None)
    async with client.run():
        stream = await client.open(world.where(server), "/tallynet/test/wait/1")
        await stream.receive(4)
    with trio.fail_after(30):
        await ended.wait()


async def test_a_dial_only_peer_is_called_back_over_its_own_connection(
    world: World, server: Transport, client: Transport
) -> None:
    client.serve(world.echo_protocol, world.echo)
    async with (
        await client.open(world.where(server), world.echo_protocol),
        await server.open(PeerAddress(client.peer, ()), world.echo_protocol) as stream,
    ):
        await stream.send(b"back")
        assert await stream.receive(4) == b"back"


async def test_one_mebibyte_goes_and_comes(world: World, server: Transport, client: Transport) -> None:
    async def reverse(stream: Stream) -> None:
        await stream.send((await stream.receive(MIB))[::-1])

    server.serve("/tallynet/test/reverse/1", reverse)
    payload = bytes(range(256)) * (MIB // 256)
    async with await client.open(world.where(server), "/tallynet/test/reverse/1") as stream:
        await stream.send(payload)
        answer = await stream.receive(MIB)

    assert answer == payload[::-1]


async def test_thirty_two_streams_at_a_time(world: World, server: Transport, client: Transport) -> None:
    answers: dict[int, bytes] = {}

    async def call(number: int) -> None:
        async with await client.open(world.where(server), world.echo_protocol) as stream:
            await stream.send(number.to_bytes(4, "big"))
            answers[number] = await stream.receive(4)

    async with trio.open_nursery() as nursery:
        for number in range(32):
            nursery.start_soon(call, number)

    assert answers == {number: number.to_bytes(4, "big") for number in range(32)}


async def test_streams_of_one_peer_past_the_limit_are_refused(world: World, client: Transport) -> None:
    server = world.peer(limits=Limits(streams_per_peer=8))
    server.serve(world.echo_protocol, world.echo)
    async with server.run():
        streams = []
        with pytest.raises(NodeUnreachable, match="refused"):
            for _ in range(9):
                streams.append(await client.open(world.where(server), world.echo_protocol))
        await streams[0].send(b"well")
        assert await streams[0].receive(4) == b"well"
        for stream in streams:
            await stream.abort()


async def test_somebody_else_at_the_address_is_not_taken_for_the_peer(
    world: World, server: Transport, client: Transport
) -> None:
    other = Key.generate().peer_id
    with pytest.raises(NodeUnreachable, match=other):
        await client.open(PeerAddress(other, server.addresses), world.echo_protocol)


async def test_nobody_calls_himself(world: World, server: Transport) -> None:
    with pytest.raises(NodeUnreachable):
        await server.open(world.where(server), world.echo_protocol)


async def test_what_the_block_raises_comes_out_unwrapped(world: World) -> None:
    with pytest.raises(KeyError):
        async with world.peer().run():
            raise KeyError


async def test_a_transport_runs_again_after_it_was_left(world: World, client: Transport) -> None:
    server = world.peer()
    server.serve(world.echo_protocol, world.echo)
    for _ in range(2):
        async with server.run(), await client.open(world.where(server), world.echo_protocol) as stream:
            await stream.send(b"here")
            assert await stream.receive(4) == b"here"


async def test_gossip_reaches_those_who_are_not_connected_to_its_author(world: World, server: Transport) -> None:
    one, other = world.peer(knows=[server]), world.peer(listen=None, knows=[server])
    async with world.running(one, other), server.subscribe(TOPIC) as hub, other.subscribe(TOPIC) as far:
        await one.publish(TOPIC, b"news")
        with trio.fail_after(30):
            heard = [await anext(inbox) for inbox in (hub, far)]

    assert heard == [(one.peer, b"news")] * 2


async def test_gossip_comes_to_every_subscriber_but_not_back_to_its_author(world: World, server: Transport) -> None:
    author = world.peer(knows=[server])
    async with (
        author.run(),
        author.subscribe(TOPIC) as own,
        server.subscribe(TOPIC) as first,
        server.subscribe(TOPIC) as second,
    ):
        await author.publish(TOPIC, b"one")
        await server.publish(TOPIC, b"two")
        with trio.fail_after(30):
            heard = [await anext(inbox) for inbox in (first, second, own)]

    assert heard == [(author.peer, b"one"), (author.peer, b"one"), (server.peer, b"two")]


async def test_a_burst_of_gossip_arrives_whole(world: World, server: Transport) -> None:
    author = world.peer(knows=[server])
    async with author.run(), server.subscribe(TOPIC) as inbox:
        async with trio.open_nursery() as nursery:
            for number in range(150):
                nursery.start_soon(author.publish, TOPIC, bytes([number]))
        with trio.fail_after(30):
            heard = [(await anext(inbox))[1][0] for _ in range(150)]

    assert sorted(heard) == list(range(150))


async def test_gossip_that_is_too_large_is_the_callers_bug(world: World, server: Transport) -> None:
    with pytest.raises(ValueError):
        await server.publish(TOPIC, bytes(MAX_GOSSIP_BYTES + 1))


async def test_a_provider_is_found_through_a_third_peer(world: World, server: Transport) -> None:
    provider, seeker = world.peer(knows=[server]), world.peer(listen=None, knows=[server])
    provider.serve(world.echo_protocol, world.echo)
    async with world.running(provider, seeker):
        await provider.provide(MODEL)
        with trio.fail_after(30):
            while not (found := await seeker.providers(MODEL)):
                pass
        async with await seeker.open(found[0], world.echo_protocol) as stream:
            await stream.send(b"here")
            await stream.receive(4)

    assert [known.peer for known in found] == [provider.peer]


async def test_a_provider_that_comes_later_is_found_too(world: World, server: Transport) -> None:
    one, other = world.peer(knows=[server]), world.peer(knows=[server])
    seeker = world.peer(listen=None, knows=[server])
    async with world.running(one, other, seeker):
        await one.provide(MODEL)
        with trio.fail_after(30):
            while not await seeker.providers(MODEL):
                pass
        await other.provide(MODEL)
        with trio.fail_after(30):
            while len(found := await seeker.providers(MODEL)) < 2:
                pass

    assert {known.peer for known in found} == {one.peer, other.peer}


async def test_nobody_provides_what_nobody_announced(world: World, server: Transport) -> None:
    seeker = world.peer(listen=None, knows=[server])
    async with seeker.run():
        assert await seeker.providers(MODEL) == []
        assert await server.providers(MODEL) == []
