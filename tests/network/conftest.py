"""Peers to test with, in either kind of network."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from tallynet.network import EndOfStream, Limits, MemoryNetwork, MemoryTransport, PeerAddress, Stream, Transport
from tallynet.network.host import Libp2pTransport
from tallynet.protocol.keys import Key

LOOPBACK = "/ip4/127.0.0.1/tcp/0"


class World(ABC):
    """One kind of network."""

    echo_protocol = "/tallynet/test/echo/1"

    @abstractmethod
    def peer(
        self,
        *,
        key: Key | None = None,
        listen: str | None = LOOPBACK,
        knows: Iterable[Transport] = (),
        limits: Limits | None = None,
    ) -> Transport:
        """A new peer, not running yet. `listen` None makes it a dial-only one."""

    @asynccontextmanager
    async def running(self, *transports: Transport) -> AsyncIterator[None]:
        """Run all of them for the block."""
        async with AsyncExitStack() as stack:
            for transport in transports:
                await stack.enter_async_context(transport.run())
            yield

    def where(self, transport: Transport) -> PeerAddress:
        return PeerAddress(transport.peer, transport.addresses)

    async def echo(self, stream: Stream) -> None:
        """A handler that sends back whatever comes, four bytes at a time, until the peer finishes."""
        while True:
            try:
                await stream.send(await stream.receive(4))
            except EndOfStream:
                return


class MemoryWorld(World):
    def __init__(self) -> None:
        self.network = MemoryNetwork()

    def peer(
        self,
        *,
        key: Key | None = None,
        listen: str | None = LOOPBACK,
        knows: Iterable[Transport] = (),
        limits: Limits | None = None,
    ) -> Transport:
        return MemoryTransport(self.network, key or Key.generate(), listen=listen is not None, limits=limits)


class Libp2pWorld(World):
    def peer(
        self,
        *,
        key: Key | None = None,
        listen: str | None = LOOPBACK,
        knows: Iterable[Transport] = (),
        limits: Limits | None = None,
    ) -> Libp2pTransport:
        return Libp2pTransport(
            key or Key.generate(),
            listen=() if listen is None else (listen,),
            bootstrap=[self.where(other) for other in knows],
            limits=limits,
        )


@pytest.fixture(params=[MemoryWorld, Libp2pWorld], ids=["memory", "libp2p"])
def world(request: pytest.FixtureRequest) -> World:
    """Both kinds, one after the other."""
    made = request.param()
    assert isinstance(made, World)
    return made


@pytest.fixture
def memory() -> MemoryWorld:
    return MemoryWorld()


@pytest.fixture
def libp2p() -> Libp2pWorld:
    return Libp2pWorld()
