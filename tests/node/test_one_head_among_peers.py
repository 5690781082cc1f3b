"""Slashing protection by what peers have heard: a log that is smaller than we once said is not ours to go on with."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from tallynet.engine import FakeEngine
from tallynet.ledger import MemoryLedger
from tallynet.network.address_book import AddressBook
from tallynet.network.discovery import ask_log_size
from tallynet.network.memory import MemoryNetwork, MemoryTransport
from tallynet.network.transport import PeerAddress
from tallynet.node.advertising import Advertising
from tallynet.node.engines import Engines
from tallynet.node.service import Node
from tallynet.node.signing import state_head
from tallynet.protocol.advert import MAX_CLOCK_SKEW_MS, SignedAdvert, sign_advert
from tallynet.protocol.errors import InvalidAdvert, Misconfigured
from tallynet.protocol.keys import Key
from tallynet.protocol.units import Milliseconds, Wei
from tallynet.protocol.wire import ADVERT_TOPIC, HEADER_BYTES, INFO_PROTOCOL, Adverts, encode_frame
from tests.node.examples import CLIENT, DOMAIN, NODE, STRANGER, PaperJournal, append, clock, valid_config
from tests.node.one_head import opened, signs_nothing

pytestmark = pytest.mark.usefixtures("looked_at_every_time")


def advertising(network: MemoryNetwork, key: Key, folder: Path, size: int, *peers: Key) -> Advertising:
    transport = MemoryTransport(network, key)
    known = tuple(PeerAddress(peer.peer_id, MemoryTransport(network, peer).addresses) for peer in peers)
    config, book = valid_config(folder), AddressBook(DOMAIN, clock)
    return Advertising(
        config, key, DOMAIN, Engines.of(config, FakeEngine()), transport, book, clock, lambda model: 0, known,
        PaperJournal(range(size)),
    )  # fmt: skip


@asynccontextmanager
async def a_peer_that_heard(tmp_path: Path, *adverts: SignedAdvert) -> AsyncIterator[MemoryNetwork]:
    """STRANGER, a node like any other, which has heard these adverts."""
    network = MemoryNetwork()
    peer = advertising(network, STRANGER, tmp_path, 0)
    peer.transport.serve(INFO_PROTOCOL, peer.serve)
    for signed in adverts:
        peer.book.add(signed)
    async with peer.transport.run():
        yield network


def advert_of(folder: Path, size: int) -> SignedAdvert:
    """What this node said when its log had `size` entries."""
    return advertising(MemoryNetwork(), NODE, folder, size).sign()


async def test_an_advert_tells_the_size_of_the_log(tmp_path: Path) -> None:
    assert advert_of(tmp_path, 3).advert.log_size == 3


@pytest.mark.parametrize("size", [3, 4])
async def test_a_start_with_all_that_peers_have_seen(steady_clock: MockClock, tmp_path: Path, size: int) -> None:
    async with a_peer_that_heard(tmp_path, advert_of(tmp_path, 3)) as network:
        ours = advertising(network, NODE, tmp_path, size, STRANGER)
        async with ours.transport.run():
            await ours.check_start()


async def test_a_start_with_less_than_a_peer_has_seen(steady_clock: MockClock, tmp_path: Path) -> None:
    async with a_peer_that_heard(tmp_path, advert_of(tmp_path, 3)) as network:
        ours = advertising(network, NODE, tmp_path, 2, STRANGER)
        async with ours.transport.run():
            with pytest.raises(Misconfigured, match="have seen 3 entries of this node's log, the log here has 2"):
                await ours.check_start()


async def test_peers_remember_the_largest_log_beyond_the_end_of_the_advert(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    larger = advert_of(tmp_path, 3)
    await trio.sleep(1)
    async with a_peer_that_heard(tmp_path, larger, advert_of(tmp_path, 2)) as network:
        await trio.sleep(7 * 24 * 3600)
        ours = advertising(network, NODE, tmp_path, 2, STRANGER)
        async with ours.transport.run():
            with pytest.raises(Misconfigured, match="have seen 3 entries"):
                await ours.check_start()


async def test_a_start_with_no_peer_to_ask(
    autojump_clock: MockClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ours = advertising(MemoryNetwork(), NODE, tmp_path, 2, STRANGER)
    async with ours.transport.run():
        await ours.check_start()

    assert "no peer could be asked" in caplog.text


async def test_a_peer_that_says_nothing_holds_no_start_up(autojump_clock: MockClock, tmp_path: Path) -> None:
    network = MemoryNetwork()
    silent, ours = MemoryTransport(network, STRANGER), advertising(network, NODE, tmp_path, 2, STRANGER)
    silent.serve(INFO_PROTOCOL, lambda stream: trio.sleep_forever())
    async with silent.run(), ours.transport.run():
        began = trio.current_time()
        await ours.check_start()
        assert trio.current_time() - began <= 3.0


async def test_a_peer_cannot_make_up_what_we_said(steady_clock: MockClock, tmp_path: Path) -> None:
    """Only our own signature counts: a forged or another node's advert keeps nobody from starting."""
    said = advert_of(tmp_path, 3)
    forged = replace(said, advert=replace(said.advert, log_size=2**39))
    other = advertising(MemoryNetwork(), CLIENT, tmp_path, 9).sign()
    for answer in (forged, other):
        network = MemoryNetwork()
        liar, ours = advertising(network, STRANGER, tmp_path, 0), advertising(network, NODE, tmp_path, 2, STRANGER)
        liar.book._largest[NODE.address] = answer
        liar.transport.serve(INFO_PROTOCOL, liar.serve)
        async with liar.transport.run(), ours.transport.run():
            await ours.check_start()
            with pytest.raises(InvalidAdvert):
                await ask_log_size(ours.transport, ours.bootstrap[0], NODE.address, DOMAIN)


async def test_peers_are_told_of_a_node_they_do_not_know(steady_clock: MockClock, tmp_path: Path) -> None:
    async with a_peer_that_heard(tmp_path) as network:
        ours = advertising(network, NODE, tmp_path, 2, STRANGER)
        async with ours.transport.run():
            assert await ask_log_size(ours.transport, ours.bootstrap[0], NODE.address, DOMAIN) == 0
            assert await ask_log_size(ours.transport, ours.bootstrap[0], STRANGER.address, DOMAIN) == 0


async def test_a_running_node_that_hears_of_a_larger_log_of_its_own_stops(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    network = MemoryNetwork()
    ours, peer = advertising(network, NODE, tmp_path, 2), MemoryTransport(network, STRANGER)
    ours.sign()
    async with ours.transport.run(), peer.run():
        with pytest.RaisesGroup(Misconfigured):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ours.listen)
                await trio.testing.wait_all_tasks_blocked()
                for size in (0, 2, 3):
                    state_head(ours.journal, DOMAIN, NODE)
                    await peer.publish(ADVERT_TOPIC, encode_frame(Adverts((advert_of(tmp_path, size),)))[HEADER_BYTES:])
                    await trio.testing.wait_all_tasks_blocked()

    signs_nothing(ours.journal, "Another instance of this node runs: it advertises 3 entries, the log here has 2")


@pytest.mark.parametrize(("later", "stops"), [(0, False), (MAX_CLOCK_SKEW_MS, False), (MAX_CLOCK_SKEW_MS + 1, True)])
async def test_an_instance_that_was_started_later_stops_the_earlier(
    autojump_clock: MockClock, tmp_path: Path, later: int, stops: bool
) -> None:
    """Two of one size contradict each other with the next job; the clock of a host may have been set back a little."""
    ours = advertising(MemoryNetwork(), NODE, tmp_path, 2)
    first = ours.sign().advert
    await trio.sleep(100)
    started = Milliseconds(first.incarnation + later)
    theirs = replace(first, incarnation=started, issued=clock(), expires=Milliseconds(clock() + 1000))

    if stops:
        with pytest.raises(Misconfigured, match="Another instance"):
            ours.book.add(sign_advert(theirs, DOMAIN, NODE))
        signs_nothing(ours.journal, "Another instance")
    else:
        ours.book.add(sign_advert(theirs, DOMAIN, NODE))
        state_head(ours.journal, DOMAIN, NODE)


async def test_what_others_say_of_themselves_stops_nobody(tmp_path: Path) -> None:
    ours = advertising(MemoryNetwork(), NODE, tmp_path, 2)
    ours.book.add(advertising(MemoryNetwork(), STRANGER, tmp_path, 9).sign())

    state_head(ours.journal, DOMAIN, NODE)


# The whole node


async def test_a_restored_backup_is_not_started_when_a_peer_knows_better(
    steady_clock: MockClock, tmp_path: Path
) -> None:
    """The entries that are lost were never anchored: only peers have heard of them."""
    with opened(tmp_path / "data") as journal:
        await append(journal, 0)
    ledger = MemoryLedger(clock=lambda: clock() / 1000)
    await ledger.register(CLIENT, NODE, Wei(10**18), "")
    async with a_peer_that_heard(tmp_path, advert_of(tmp_path, 2)) as network:
        peers = (PeerAddress(STRANGER.peer_id, MemoryTransport(network, STRANGER).addresses),)
        transport = MemoryTransport(network, NODE)
        config = valid_config(tmp_path)
        node = Node(config, NODE, transport, ledger, Engines.of(config, FakeEngine()), peers, clock=clock)
        with pytest.RaisesGroup(Misconfigured, flatten_subgroups=True, allow_unwrapped=True):
            await node.run()
