"""Adverts: chapter 2, checks (1) to (3), each broken alone; and which of two is newer."""

from typing import Any

import msgspec
import pytest

from tallynet.protocol.advert import MAX_CLOCK_SKEW_MS, MAX_TTL_MS, Advert, SignedAdvert, sign_advert, verify_advert
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import InvalidAdvert
from tallynet.protocol.units import Milliseconds, ModelId
from tests.protocol.examples import (
    DOMAIN,
    MODEL,
    NODE,
    NOW,
    STRANGER,
    digest,
    valid_advert,
    valid_offer,
    valid_signed_advert,
)

CODEC = msgspec.msgpack.Decoder(Advert)


def refused(number: int, signed: SignedAdvert, now: int = NOW, domain: Domain = DOMAIN) -> None:
    with pytest.raises(InvalidAdvert) as refusal:
        verify_advert(signed, domain, Milliseconds(now))
    assert refusal.value.check == number


def test_a_valid_advert_names_its_node() -> None:
    verified = verify_advert(valid_signed_advert(), DOMAIN, NOW)

    assert verified.node == NODE.address
    assert verified.advert == valid_advert()


@pytest.mark.parametrize("now", [NOW - MAX_CLOCK_SKEW_MS, NOW, NOW + 59_999])
def test_an_advert_is_in_force_from_its_issue_to_its_end(now: int) -> None:
    verify_advert(valid_signed_advert(), DOMAIN, Milliseconds(now))


@pytest.mark.parametrize("now", [NOW - MAX_CLOCK_SKEW_MS - 1, NOW + 60_000, NOW + 10**9, 0])
def test_1_an_advert_that_is_not_in_force(now: int) -> None:
    refused(1, valid_signed_advert(), now)


def test_1_an_advert_that_asks_to_be_believed_for_too_long() -> None:
    refused(1, valid_signed_advert(expires=NOW + MAX_TTL_MS + 1))
    verify_advert(valid_signed_advert(expires=NOW + MAX_TTL_MS), DOMAIN, NOW)


def test_2_an_advert_issued_before_its_own_incarnation() -> None:
    refused(2, valid_signed_advert(incarnation=NOW + 1))


def test_3_an_advert_signed_by_somebody_else() -> None:
    refused(3, sign_advert(valid_advert(), DOMAIN, STRANGER))


def test_3_an_advert_changed_after_it_was_signed() -> None:
    changed = valid_advert(offers=(valid_offer(completion_price=0),))

    refused(3, SignedAdvert(changed, valid_signed_advert().signature))


def test_3_an_advert_for_another_chain() -> None:
    refused(3, valid_signed_advert(), NOW, Domain(1, DOMAIN.contract))


@pytest.mark.parametrize("peer", ["x", NODE.peer_id + " ", "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"])
def test_3_an_advert_of_a_peer_whose_id_is_no_key(peer: str) -> None:
    refused(3, valid_signed_advert(peer=peer))


@pytest.mark.parametrize(
    ("changes", "newer"),
    [
        ({"issued": NOW + 1}, True),
        ({}, False),
        ({"issued": NOW - 1}, False),
        ({"incarnation": NOW - 59_999, "issued": NOW - 30_000}, True),
        ({"incarnation": NOW - 60_001, "issued": NOW + 1}, False),
    ],
)
def test_a_later_start_replaces_everything_said_before_it(changes: dict[str, Any], newer: bool) -> None:
    old = verify_advert(valid_signed_advert(), DOMAIN, NOW)

    assert verify_advert(valid_signed_advert(**changes), DOMAIN, NOW).supersedes(old) is newer


def test_an_offer_is_found_by_its_model() -> None:
    offer = valid_advert().offer(MODEL)

    assert offer is not None
    assert offer.name == "tally-tiny"
    assert valid_advert().offer(ModelId(digest("a model nobody has"))) is None


def test_a_price_counts_both_kinds_of_tokens() -> None:
    assert valid_offer().price(10, 2) == 16_000


@pytest.mark.parametrize("field", ["prompt_price", "completion_price"])
def test_prices_have_their_bounds(field: str) -> None:
    largest = valid_advert(offers=(valid_offer(**{field: 2**53 - 1}),))
    assert CODEC.decode(msgspec.msgpack.encode(largest)) == largest

    for price in (-1, 2**53):
        not_read(valid_advert(offers=(valid_offer(**{field: price}),)))


@pytest.mark.parametrize("name", ["", "x" * 129, "a\n", "a\x1b[2J", "\x00", "x\u202ey", "\x85"])
def test_a_name_that_would_disturb_a_terminal_is_not_read(name: str) -> None:
    not_read(valid_advert(offers=(valid_offer(name=name),)))


@pytest.mark.parametrize("name", ["a", "Qwen/Qwen3-0.6B", "模型 1", "x" * 128])
def test_a_name_may_be_in_any_script(name: str) -> None:
    advert = valid_advert(offers=(valid_offer(name=name),))

    assert CODEC.decode(msgspec.msgpack.encode(advert)) == advert


@pytest.mark.parametrize(
    "changes",
    [
        {"peer": ""},
        {"peer": "1" * 129},
        {"addresses": ("",)},
        {"addresses": ("/ip4/192.0.2.7/tcp/4001\n",)},
        {"addresses": ("x" * 257,)},
        {"addresses": ("/ip4/192.0.2.7/tcp/1",) * 17},
        {"offers": (valid_offer(),) * 65},
        {"offers": (valid_offer(slots=2**32),)},
        {"offers": (valid_offer(evidence="x" * 33),)},
        {"offers": (valid_offer(evidence="a b"),)},
        {"expires": 2**53},
    ],
)
def test_what_is_over_its_bounds_is_not_read(changes: dict[str, Any]) -> None:
    not_read(valid_advert(**changes))


def not_read(advert: Advert) -> None:
    with pytest.raises(msgspec.ValidationError):
        CODEC.decode(msgspec.msgpack.encode(advert))
