"""What py-libp2p gets wrong and this package puts right, each fault provoked on a real socket."""

from __future__ import annotations

import base64
import hashlib
import logging
import socket
import subprocess
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio
from libp2p import new_host
from libp2p.crypto.secp256k1 import create_new_key_pair
from libp2p.kad_dht.kad_dht import _encode_key
from libp2p.network.exceptions import SwarmException
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11
from libp2p.pubsub.pb import rpc_pb2
from libp2p.security.insecure.transport import PLAINTEXT_PROTOCOL_ID, InsecureTransport
from libp2p.stream_muxer.yamux.yamux import YamuxStream
from libp2p.utils.varint import encode_varint_prefixed

from tallynet.network import Limits, PeerAddress, Stream, dht, muxer, swarm
from tallynet.network.addresses import parse
from tallynet.network.dht import cid
from tallynet.network.host import Libp2pTransport
from tallynet.network.services import background
from tallynet.network.stream import Libp2pStream
from tallynet.network.swarm import ContainedSwarm
from tallynet.protocol.errors import Misconfigured, NodeUnreachable
from tallynet.protocol.keys import Key
from tallynet.protocol.units import ModelId

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.network.conftest import Libp2pWorld

TOPIC = "tallynet/test/1"
MIB = 1024 * 1024
FEW = Limits(inbound_connections=16)


@pytest.fixture
async def server(libp2p: Libp2pWorld) -> AsyncIterator[Libp2pTransport]:
    """A running peer that serves the echo protocol, with room for few."""
    transport = libp2p.peer(limits=FEW)
    transport.serve(libp2p.echo_protocol, libp2p.echo)
    async with transport.run():
        yield transport


async def assert_serves(libp2p: Libp2pWorld, server: Libp2pTransport) -> None:
    """A newcomer is served."""
    client = libp2p.peer(listen=None)
    async with client.run(), await client.open(libp2p.where(server), libp2p.echo_protocol) as stream:
        await stream.send(b"well")
        assert await stream.receive(4) == b"well"


async def until_alone(server: Libp2pTransport) -> None:
    """Wait until no inbound slot is borrowed and no peer is in the books any more."""
    with trio.fail_after(30):
        while server.statistics().inbound or server.statistics().peers:
            await trio.sleep(0.01)


def test_the_peer_id_is_that_of_the_key() -> None:
    key = Key.generate()

    assert Libp2pTransport(key).peer == ID.from_pubkey(create_new_key_pair(key.secret).public_key).to_base58()


async def test_a_plaintext_dial_is_refused(libp2p: Libp2pWorld, server: Libp2pTransport) -> None:
    key_pair = create_new_key_pair()
    naked = new_host(key_pair=key_pair, sec_opt={PLAINTEXT_PROTOCOL_ID: InsecureTransport(key_pair)})
    async with naked.run(listen_addrs=[]):
        with pytest.raises(SwarmException):
            await naked.connect(PeerInfo(ID.from_base58(server.peer), [parse(server.addresses[0])]))
    await until_alone(server)


@pytest.mark.slow
async def test_four_hundred_connections_in_a_row_leave_no_slot_borrowed(
    libp2p: Libp2pWorld, server: Libp2pTransport
) -> None:
    """Each is a new peer; the server has 16 slots, so the 17th fails if a slot is not given back."""
    peer, address = ID.from_base58(server.peer), parse(server.addresses[0])
    tasks = trio.lowlevel.current_statistics().tasks_living
    for _ in range(400):
        client = ContainedSwarm(create_new_key_pair(), Limits())
        async with background(client):
            connection = await client.dial_addr(address, peer)
            assert isinstance(connection.muxed_conn, muxer.ContainedYamux)
            await connection.muxed_conn.hang_up()
    await until_alone(server)
    await assert_serves(libp2p, server)
    with trio.fail_after(30):
        while trio.lowlevel.current_statistics().tasks_living > tasks:
            await trio.sleep(0.01)


async def test_connections_past_the_limit_are_closed(libp2p: Libp2pWorld) -> None:
    server = libp2p.peer(limits=Limits(inbound_connections=2))
    server.serve(libp2p.echo_protocol, libp2p.echo)
    clients = [libp2p.peer(listen=None) for _ in range(3)]
    async with server.run(), libp2p.running(*clients):
        where = libp2p.where(server)
        streams = [await client.open(where, libp2p.echo_protocol) for client in clients[:2]]
        with pytest.raises(NodeUnreachable):
            await clients[2].open(where, libp2p.echo_protocol)
        for stream in streams:
            await stream.send(b"well")
            assert await stream.receive(4) == b"well"


async def test_idle_connections_make_room_and_busy_ones_stay(
    libp2p: Libp2pWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swarm, "GRACE_SECONDS", 0.0)
    server = libp2p.peer(limits=Limits(inbound_connections=4))
    server.serve(libp2p.echo_protocol, libp2p.echo)
    clients = [libp2p.peer(listen=None) for _ in range(8)]
    async with server.run(), clients[0].run():
        where = libp2p.where(server)
        busy = await clients[0].open(where, libp2p.echo_protocol)
        await busy.send(b"busy")
        await busy.receive(4)
        async with libp2p.running(*clients[1:]):
            for client in clients[1:]:
                with trio.fail_after(30):
                    while not await has_echo(libp2p, client, where):
                        await trio.sleep(0.1)
        await busy.send(b"well")
        assert await busy.receive(4) == b"well"


async def has_echo(libp2p: Libp2pWorld, client: Libp2pTransport, where: PeerAddress) -> bool:
    try:
        async with await client.open(where, libp2p.echo_protocol) as stream:
            await stream.send(b"here")
            return await stream.receive(4) == b"here"
    except NodeUnreachable:
        return False


async def test_one_peer_has_a_few_connections_only(libp2p: Libp2pWorld, server: Libp2pTransport) -> None:
    peer, address = ID.from_base58(server.peer), parse(server.addresses[0])
    greedy = ContainedSwarm(create_new_key_pair(), Limits())
    async with background(greedy):
        for _ in range(8):
            await greedy.dial_addr(address, peer)
        with trio.fail_after(30):
            while server.statistics().inbound > FEW.connections_per_peer:
                await trio.sleep(0.01)
        await assert_serves(libp2p, server)
        await greedy.hang_up()


async def test_a_peer_that_restarts_on_its_port_is_reached_again(libp2p: Libp2pWorld) -> None:
    key, client = Key.generate(), libp2p.peer(listen=None)
    server = libp2p.peer(key=key)
    server.serve(libp2p.echo_protocol, libp2p.echo)
    async with client.run():
        async with server.run():
            where = libp2p.where(server)
            assert await has_echo(libp2p, client, where)
        again = libp2p.peer(key=key, listen=where.addresses[0])
        again.serve(libp2p.echo_protocol, libp2p.echo)
        async with again.run():
            assert await has_echo(libp2p, client, where)


@asynccontextmanager
async def silenced(one: Libp2pTransport, other: Libp2pTransport) -> AsyncIterator[None]:
    """Let one say nothing on its connections with the other."""
    async with AsyncExitStack() as stack:
        for connection in one._running().swarm.get_connections(ID.from_base58(other.peer)):
            assert isinstance(connection.muxed_conn, muxer.ContainedYamux)
            await stack.enter_async_context(connection.muxed_conn._write_lock)
        yield


async def test_a_dead_connection_that_looks_alive_is_replaced(libp2p: Libp2pWorld, server: Libp2pTransport) -> None:
    """The peer's end goes silent without a word, like a machine that lost its power."""
    client = libp2p.peer(listen=None, limits=Limits(dial_seconds=1.5))
    async with client.run():
        where = libp2p.where(server)
        assert await has_echo(libp2p, client, where)
        async with silenced(server, client):
            assert await has_echo(libp2p, client, where)


async def test_a_port_that_is_taken_is_an_error_of_ours(libp2p: Libp2pWorld, server: Libp2pTransport) -> None:
    with pytest.raises(Misconfigured, match="Address already in use"):
        async with libp2p.peer(listen=server.addresses[0]).run():
            pass


@pytest.mark.parametrize("address", ["127.0.0.1:4001", "/ip4/127.0.0.1/udp/4001", "/ip4/300.0.0.1/tcp/1", ""])
def test_an_address_that_is_none_is_an_error_of_ours(address: str) -> None:
    with pytest.raises(Misconfigured):
        Libp2pTransport(Key.generate(), listen=(address,))


async def test_every_interface_is_told_as_addresses_that_can_be_dialled(libp2p: Libp2pWorld) -> None:
    server = libp2p.peer(listen="/ip4/0.0.0.0/tcp/0")
    async with server.run():
        assert server.addresses
        assert not any("0.0.0.0" in address for address in server.addresses)
        server.serve(libp2p.echo_protocol, libp2p.echo)
        await assert_serves(libp2p, server)


async def test_a_listener_that_never_speaks_is_given_up_in_time(libp2p: Libp2pWorld) -> None:
    client = libp2p.peer(listen=None, limits=Limits(dial_seconds=0.3))
    with socket.create_server(("127.0.0.1", 0)) as mute:
        where = PeerAddress(Key.generate().peer_id, (f"/ip4/127.0.0.1/tcp/{mute.getsockname()[1]}",))
        async with client.run():
            with trio.fail_after(30), pytest.raises(NodeUnreachable):
                await client.open(where, libp2p.echo_protocol)


async def test_one_address_that_works_among_others_is_enough(libp2p: Libp2pWorld, server: Libp2pTransport) -> None:
    client = libp2p.peer(listen=None)
    where = PeerAddress(server.peer, ("/memory/x", "/ip4/127.0.0.1/tcp/1", *server.addresses))
    async with client.run():
        assert await has_echo(libp2p, client, where)


async def test_a_failed_dial_does_not_block_the_next(libp2p: Libp2pWorld) -> None:
    client, server = libp2p.peer(listen=None), libp2p.peer()
    server.serve(libp2p.echo_protocol, libp2p.echo)
    async with client.run(), server.run():
        with pytest.raises(NodeUnreachable):
            await client.open(PeerAddress(server.peer, ("/ip4/127.0.0.1/tcp/1",)), libp2p.echo_protocol)
        assert await has_echo(libp2p, client, libp2p.where(server))


async def test_a_burst_of_gossip_waits_for_a_slow_neighbour(libp2p: Libp2pWorld, server: Libp2pTransport) -> None:
    author = libp2p.peer(knows=[server])
    async with author.run(), server.subscribe(TOPIC) as inbox:
        await author.publish(TOPIC, b"first")
        await anext(inbox)
        async with silenced(author, server):
            for number in range(100):
                await author.publish(TOPIC, bytes([number]))
        with trio.fail_after(30):
            heard = [(await anext(inbox))[1][0] for _ in range(100)]

    assert sorted(heard) == list(range(100))


async def test_gossip_with_a_broken_key_does_not_end_the_host(libp2p: Libp2pWorld, server: Libp2pTransport) -> None:
    sender = bytes.fromhex("1220") + hashlib.sha256(b"nobody").digest()
    message = rpc_pb2.Message(from_id=sender, seqno=b"1", data=b"x", topicIDs=[TOPIC], signature=b"s", key=b"broken")
    client = libp2p.peer(listen=None)
    async with server.subscribe(TOPIC), client.run():
        async with await client.open(libp2p.where(server), str(PROTOCOL_ID_V11)) as stream:
            await stream.send(encode_varint_prefixed(rpc_pb2.RPC(publish=[message]).SerializeToString()))
            await stream.send(b"\x03\xff\xff\xff")
        await assert_serves(libp2p, server)
    await assert_serves(libp2p, server)


async def test_a_protocol_name_that_is_no_text_does_not_end_the_host(
    libp2p: Libp2pWorld, server: Libp2pTransport
) -> None:
    client = ContainedSwarm(create_new_key_pair(), Limits())
    async with background(client):
        await client.dial_addr(parse(server.addresses[0]), ID.from_base58(server.peer))
        stream = await client.new_stream(ID.from_base58(server.peer))
        await stream.write(b"\x04\xff\xff\xff\n")
        await assert_serves(libp2p, server)
        another = await client.new_stream(ID.from_base58(server.peer))
        with trio.fail_after(30):
            assert b"/multistream/1.0.0" in await another.read(64)
        await client.hang_up()


async def test_a_flood_past_the_window_is_cut_off(
    libp2p: Libp2pWorld, server: Libp2pTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ignore(stream: Stream) -> None:
        await trio.sleep_forever()

    monkeypatch.setattr(muxer, "MAX_BUFFERED_BYTES", MIB)
    server.serve("/tallynet/test/ignore/1", ignore)
    client = libp2p.peer(listen=None)
    async with client.run():
        stream = await client.open(libp2p.where(server), "/tallynet/test/ignore/1")
        assert isinstance(stream, Libp2pStream)
        assert isinstance(stream._stream.muxed_stream, YamuxStream)
        stream._stream.muxed_stream.send_window = 2**40
        with trio.fail_after(30), pytest.raises(NodeUnreachable):
            for _ in range(64):
                await stream.send(bytes(MIB))
    await assert_serves(libp2p, server)


async def test_the_host_keeps_its_own_key_among_thousands_of_peers(
    libp2p: Libp2pWorld, server: Libp2pTransport
) -> None:
    peers = server._running().swarm.peerstore
    for _ in range(1100):
        peers.add_addrs(ID(b"\x12\x20" + Key.generate().secret), [parse("/ip4/127.0.0.1/tcp/1")], 3600)

    assert peers.privkey(ID.from_base58(server.peer)) is not None
    await assert_serves(libp2p, server)


async def test_a_burst_of_announcements_is_paced(server: Libp2pTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dht, "ANNOUNCEMENT_SECONDS", 0.5)
    began = trio.current_time()
    for number in range(dht.ANNOUNCEMENTS):
        await server.provide(ModelId(bytes([number]) * 32))
    assert trio.current_time() - began < 0.5
    await server.provide(ModelId(b"\xff" * 32))

    assert trio.current_time() - began >= 0.5


async def test_announcements_of_ever_more_models_push_out_the_oldest(
    server: Libp2pTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dht, "MAX_KEYS", 2)
    for number in (1, 2, 1, 3):
        await server.provide(ModelId(bytes([number]) * 32))

    assert [key[-1] for key in server._dht()._kademlia.provider_store.providers] == [1, 3]


def test_the_key_in_the_dht_is_that_of_the_cid() -> None:
    model = ModelId(hashlib.sha256(b"weights").digest())

    name = cid(model)

    assert base64.b32decode(name[1:].upper() + "=" * (-len(name[1:]) % 8)) == b"\x01\x55\x12\x20" + model
    assert _encode_key(name) == b"\x12\x20" + model


async def test_the_library_leaves_the_root_logger_alone(
    libp2p: Libp2pWorld, server: Libp2pTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    await assert_serves(libp2p, server)

    assert logging.getLogger().handlers == []


def test_the_package_is_imported_without_libp2p() -> None:
    """Which takes 1.7 s that most commands have no use for."""
    script = "import sys, tallynet.network.discovery; sys.exit('libp2p' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
