"""(2) What a node says of itself, and what it believes of others."""

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio
import trio.testing
from msgspec.structs import replace
from trio.testing import MockClock

from tallynet.engine import FakeEngine
from tallynet.network.address_book import AddressBook
from tallynet.network.discovery import ask_adverts
from tallynet.network.frames import INFO_ANSWER
from tallynet.network.memory import MemoryNetwork, MemoryTransport
from tallynet.network.transport import PeerAddress
from tallynet.node.advertising import LIFETIMES, Advertising
from tallynet.node.engines import Engines
from tallynet.protocol.advert import MAX_TTL_MS, Advert, Offer, SignedAdvert, sign_advert, verify_advert
from tallynet.protocol.keys import Key
from tallynet.protocol.units import Milliseconds, ModelId
from tallynet.protocol.wire import (
    ADVERT_TOPIC,
    HEADER_BYTES,
    INFO_PROTOCOL,
    MAX_ADVERTS,
    MAX_FRAME_BYTES,
    Adverts,
    encode_frame,
)
from tests.node.examples import DOMAIN, MODEL, NODE, STRANGER, PaperJournal, clock, valid_config, valid_offer


@dataclass
class Market:
    """One node that advertises, and a peer that listens."""

    node: Advertising
    peer: MemoryTransport
    jobs: Counter[ModelId]
    """How many each model has."""

    @property
    def address(self) -> PeerAddress:
        return PeerAddress(NODE.peer_id, self.node.transport.addresses)

    async def ask(self, model: ModelId | None = None) -> AddressBook:
        """What the peer knows after it has asked the node."""
        book = AddressBook(DOMAIN, clock)
        await ask_adverts(self.peer, self.address, book, model)
        return book


@pytest.fixture
async def market(tmp_path: Path) -> AsyncIterator[Market]:
    network, engine = MemoryNetwork(), FakeEngine(slots=4, tokens_per_second=123.4)
    transport, peer = MemoryTransport(network, NODE), MemoryTransport(network, STRANGER)
    config = valid_config(tmp_path, advert_seconds=10.0, completion_price_wei=7)
    engines, jobs = Engines.of(config, engine, FakeEngine("parrot", slots=2)), Counter[ModelId]()
    node = Advertising(
        config, NODE, DOMAIN, engines, transport, AddressBook(DOMAIN, clock), clock, jobs.__getitem__, (),
        PaperJournal(),
    )  # fmt: skip
    transport.serve(INFO_PROTOCOL, node.serve)
    async with transport.run(), peer.run():
        yield Market(node, peer, jobs)


def foreign(number: int, offers: tuple[Offer, ...] = (valid_offer(),)) -> SignedAdvert:
    """An advert in force, of another node for every number."""
    key, now = Key(number.to_bytes(32)), clock()
    advert = Advert(key.peer_id, ("/ip4/192.0.2.1/tcp/1",), now, now, Milliseconds(now + MAX_TTL_MS), 0, offers)
    return sign_advert(advert, DOMAIN, key)


async def test_an_advert_says_what_the_node_offers(market: Market) -> None:
    market.jobs[MODEL] = 6

    advert = verify_advert(market.node.sign(), DOMAIN, clock()).advert

    assert advert.peer == NODE.peer_id
    assert advert.addresses == market.node.transport.addresses
    busy, idle = advert.offers
    assert (busy.model, busy.completion_price, busy.tokens_per_second) == (MODEL, 7, 123)
    assert (busy.slots, busy.free_slots, busy.waiting) == (4, 0, 2)
    assert (idle.name, idle.slots, idle.free_slots, idle.waiting) == ("parrot", 2, 2, 0)


async def test_it_is_believed_for_six_repetitions(autojump_clock: MockClock, market: Market) -> None:
    book = AddressBook(DOMAIN, clock)
    book.add(market.node.sign())

    await trio.sleep(10 * LIFETIMES - 0.1)
    assert len(book.adverts(MODEL)) == 1
    await trio.sleep(0.1)
    assert book.adverts(MODEL) == []


async def test_a_later_advert_supersedes_even_within_a_millisecond(autojump_clock: MockClock, market: Market) -> None:
    first, second = (verify_advert(market.node.sign(), DOMAIN, clock()) for _ in range(2))

    assert second.supersedes(first)
    assert first.advert.incarnation == second.advert.incarnation


async def test_a_restart_supersedes_everything_before(autojump_clock: MockClock, market: Market) -> None:
    old = verify_advert(market.node.sign(), DOMAIN, clock())
    await trio.sleep(1)
    again = Advertising(
        market.node.config, NODE, DOMAIN, market.node.engines, market.node.transport, AddressBook(DOMAIN, clock), clock,
        lambda model: 0, (), PaperJournal(),
    )  # fmt: skip

    new = verify_advert(again.sign(), DOMAIN, clock())

    assert new.advert.incarnation > old.advert.incarnation
    assert new.supersedes(old)


async def test_a_leaving_node_is_forgotten_at_once(autojump_clock: MockClock, market: Market) -> None:
    book = AddressBook(DOMAIN, clock)
    book.add(market.node.sign())

    book.add(market.node.sign(leaving=True))

    assert book.adverts() == []


async def test_announced_addresses_replace_the_own(autojump_clock: MockClock, market: Market, tmp_path: Path) -> None:
    market.node.config = valid_config(tmp_path, announce=("/dns4/node.example/tcp/4001",))

    assert market.node.sign().advert.addresses == ("/dns4/node.example/tcp/4001",)


async def test_who_asks_hears_of_the_node_and_of_those_it_knows(steady_clock: MockClock, market: Market) -> None:
    market.node.book.add(foreign(77))

    assert len((await market.ask()).adverts()) == 2
    assert len((await market.ask(MODEL)).adverts(MODEL)) == 2


async def test_every_model_of_a_node_is_found(steady_clock: MockClock, market: Market) -> None:
    for served in market.node.engines:
        (known,) = (await market.ask(served.model)).adverts(served.model)
        assert known.node == NODE.address


async def test_every_model_has_a_provider_record(autojump_clock: MockClock, market: Market) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(market.node.provide)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()

    for served in market.node.engines:
        assert [peer.peer for peer in await market.peer.providers(served.model)] == [NODE.peer_id]


async def test_who_asks_for_another_model_hears_nothing(steady_clock: MockClock, market: Market) -> None:
    assert (await market.ask(ModelId(bytes(32)))).adverts() == []


async def test_asking_often_does_not_make_the_node_sign_often(autojump_clock: MockClock, market: Market) -> None:
    first = market.node.latest()
    await trio.sleep(0.2)
    assert market.node.latest() is first

    await trio.sleep(0.1)
    assert market.node.latest().advert.issued > first.advert.issued


async def test_the_reply_fits_a_frame_however_large_the_market(steady_clock: MockClock, market: Market) -> None:
    """Anybody can make keys and fill the market with large adverts."""
    wide = tuple(valid_offer(model=ModelId(number.to_bytes(32)), name="x" * 128) for number in range(64))
    for number in range(1, 40):
        market.node.book.add(foreign(number, wide))
    large = [known.signed for known in market.node.book.adverts()]
    assert sum(len(encode_frame(Adverts((signed,)))) for signed in large) > MAX_FRAME_BYTES

    known = await market.ask()

    assert 2 < len(known.adverts()) < 40
    assert NODE.address in {found.node for found in known.adverts()}


async def test_the_reply_holds_so_many_adverts_and_no_more(steady_clock: MockClock, market: Market) -> None:
    for number in range(1, MAX_ADVERTS + 20):
        market.node.book.add(foreign(number))

    known = await market.ask()

    assert len(known.adverts()) == MAX_ADVERTS
    assert NODE.address in {found.node for found in known.adverts()}


async def test_adverts_are_gossiped_again_and_again(autojump_clock: MockClock, market: Market) -> None:
    async with trio.open_nursery() as nursery, market.peer.subscribe(ADVERT_TOPIC) as gossip:
        nursery.start_soon(market.node.speak)
        heard = []
        async for author, data in gossip:
            answer = INFO_ANSWER.decode(data)
            assert author == NODE.peer_id and isinstance(answer, Adverts)
            heard.append(verify_advert(answer.adverts[0], DOMAIN, clock()))
            if len(heard) == 3:
                break
        nursery.cancel_scope.cancel()

    assert heard[2].supersedes(heard[1]) and heard[1].supersedes(heard[0])
    assert heard[2].advert.issued - heard[0].advert.issued == pytest.approx(20_000, abs=10)


async def test_gossip_is_believed_only_when_it_holds(autojump_clock: MockClock, market: Market) -> None:
    good = foreign(77)
    forged = replace(foreign(78), signature=good.signature)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(market.node.listen)
        await trio.testing.wait_all_tasks_blocked()
        for data in (b"", b"nonsense", _gossip(forged), _gossip(good)):
            await market.peer.publish(ADVERT_TOPIC, data)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()

    assert [known.signed for known in market.node.book.adverts()] == [good]


async def test_a_clock_that_is_set_back_ends_no_node(market: Market) -> None:
    """Adverts never go back in time; others wait until the clock has caught up."""
    hour = [10]
    market.node.clock = market.node.book.clock = lambda: Milliseconds(hour[0] * 3_600_000)
    before = market.node.sign()

    hour[0] = 8
    await market.node.spread()

    assert market.node.sign().advert.issued > before.advert.issued


def _gossip(signed: SignedAdvert) -> bytes:
    return encode_frame(Adverts((signed,)))[HEADER_BYTES:]
