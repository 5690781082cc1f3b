"""Where an auditor looks for a node that it knows by address only."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from tallynet.audit.connection import find_peer
from tallynet.console.network_file import NetworkFile, NodeHint
from tallynet.ledger.memory import MemoryLedger
from tallynet.network.frames import INFO_ASK, receive_frame, send_frame
from tallynet.network.memory import MemoryNetwork, MemoryTransport
from tallynet.network.transport import PeerAddress, Stream
from tallynet.protocol.advert import Advert, Offer, sign_advert
from tallynet.protocol.errors import NodeUnreachable
from tallynet.protocol.units import Milliseconds, Wei, prefixed
from tallynet.protocol.wire import INFO_PROTOCOL, Adverts
from tests.audit.examples import DOMAIN, MODEL, NODE, OPERATOR, STRANGER

WHERE = f"/ip4/192.0.2.1/tcp/4001/p2p/{NODE.peer_id}"


@dataclass
class Guide:
    """A bootstrap peer that knows the node's advert, or none."""

    address: str = "/ip4/192.0.2.9/tcp/4001"
    knows: bool = True

    async def serve(self, stream: Stream) -> None:
        await receive_frame(stream, INFO_ASK, seconds=5)
        now = Milliseconds(time.time_ns() // 1_000_000)
        offer = Offer(MODEL, "tiny", 512, Wei(1), Wei(1), 10, 1, 1, 0, "replayable")
        advert = Advert(NODE.peer_id, (self.address,), now, now, Milliseconds(now + 60_000), 0, (offer,))
        await send_frame(stream, Adverts((sign_advert(advert, DOMAIN, NODE),) if self.knows else ()))


@asynccontextmanager
async def auditor_beside(guide: Guide) -> AsyncIterator[MemoryTransport]:
    network = MemoryNetwork()
    bootstrap, auditor = MemoryTransport(network, OPERATOR), MemoryTransport(network, STRANGER, listen=False)
    bootstrap.serve(INFO_PROTOCOL, guide.serve)
    async with bootstrap.run(), auditor.run():
        yield auditor


def network_file(*hints: NodeHint) -> NetworkFile:
    bootstrap = (f"/memory/guide/p2p/{OPERATOR.peer_id}",)
    return NetworkFile("http://127.0.0.1:9", DOMAIN.chain_id, prefixed(DOMAIN.contract), bootstrap, nodes=hints)


async def test_a_node_is_found_through_its_advert() -> None:
    guide = Guide()
    async with auditor_beside(guide) as transport:
        found = await find_peer(transport, MemoryLedger(), network_file(), NODE.address)

    assert found == PeerAddress(NODE.peer_id, (guide.address,))


async def test_a_node_is_found_through_the_registry() -> None:
    ledger = MemoryLedger()
    await ledger.register(OPERATOR, NODE, Wei(10**18), WHERE)
    async with auditor_beside(Guide(knows=False)) as transport:
        found = await find_peer(transport, ledger, network_file(), NODE.address)

    assert str(found) == WHERE


async def test_a_node_is_found_through_the_network_file() -> None:
    hint = NodeHint(prefixed(NODE.address), WHERE)
    async with auditor_beside(Guide(knows=False)) as transport:
        found = await find_peer(transport, MemoryLedger(), network_file(hint), NODE.address)

    assert str(found) == WHERE


async def test_what_the_node_says_now_comes_before_what_it_once_registered() -> None:
    ledger, guide = MemoryLedger(), Guide()
    await ledger.register(OPERATOR, NODE, Wei(10**18), WHERE)
    async with auditor_beside(guide) as transport:
        found = await find_peer(transport, ledger, network_file(), NODE.address)

    assert found.addresses == (guide.address, "/ip4/192.0.2.1/tcp/4001")


@pytest.mark.parametrize("registered", ["", "rubbish", "/ip4/192.0.2.1/tcp/4001", "/ip4/192.0.2.1/tcp/4001/p2p/nobody"])
async def test_a_node_without_an_address_is_unreachable(registered: str) -> None:
    ledger = MemoryLedger()
    await ledger.register(OPERATOR, NODE, Wei(10**18), registered)
    async with auditor_beside(Guide(knows=False)) as transport:
        with pytest.raises(NodeUnreachable, match="No address of node") as caught:
            await find_peer(transport, ledger, network_file(), NODE.address)

    assert "--peer" in caught.value.remedy
