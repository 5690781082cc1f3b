"""The largest log of every node, remembered beyond its adverts: what an old copy of that node is told when it asks."""

from typing import Any

import pytest

from tallynet.network import address_book
from tallynet.network.address_book import AddressBook
from tallynet.protocol.advert import SignedAdvert, VerifiedAdvert, sign_advert
from tallynet.protocol.errors import InvalidAdvert, Misconfigured
from tallynet.protocol.keys import Key
from tallynet.protocol.units import Milliseconds
from tests.protocol.examples import CLIENT, DOMAIN, NODE, NOW, STRANGER, valid_advert


class Clock:
    now = NOW

    def __call__(self) -> Milliseconds:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def book(clock: Clock) -> AddressBook:
    return AddressBook(DOMAIN, clock)


def advert(key: Key, size: int, **changes: Any) -> SignedAdvert:
    return sign_advert(valid_advert(peer=key.peer_id, log_size=size, **changes), DOMAIN, key)


def test_nothing_is_known_of_a_stranger(book: AddressBook) -> None:
    assert book.largest(NODE.address) is None


def test_the_largest_and_not_the_latest_is_kept(book: AddressBook) -> None:
    for moment, size in enumerate((5, 9, 7)):
        book.add(advert(NODE, size, issued=NOW + moment))

    kept = book.largest(NODE.address)
    assert kept is not None and kept.advert.log_size == 9
    (latest,) = book.adverts()
    assert latest.advert.log_size == 7


def test_it_is_kept_when_the_node_has_left_and_the_advert_is_over(book: AddressBook, clock: Clock) -> None:
    book.add(advert(NODE, 9, offers=()))
    clock.now = Milliseconds(NOW + 10**9)

    assert book.adverts() == []
    kept = book.largest(NODE.address)
    assert kept is not None and kept.advert.log_size == 9


def test_an_advert_that_does_not_hold_tells_nothing(book: AddressBook) -> None:
    forged = SignedAdvert(valid_advert(log_size=2**39), advert(NODE, 1).signature)

    with pytest.raises(InvalidAdvert):
        book.add(forged)
    assert book.largest(NODE.address) is None


def test_so_many_nodes_are_remembered(book: AddressBook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address_book, "MAX_NODES", 2)
    for key in (NODE, CLIENT, STRANGER):
        book.add(advert(key, 1))

    assert [book.largest(key.address) is not None for key in (NODE, CLIENT, STRANGER)] == [False, True, True]


def test_who_heeds_hears_of_every_advert_and_may_object(book: AddressBook) -> None:
    heard: list[int] = []

    def heed(known: VerifiedAdvert) -> None:
        heard.append(known.advert.log_size)
        if known.advert.log_size > 1:
            raise Misconfigured("another instance runs")

    book.heed = heed
    book.add(advert(NODE, 1))
    with pytest.raises(Misconfigured):
        book.add(advert(NODE, 2, issued=NOW + 1))

    assert heard == [1, 2]
