"""Openings on request: who may ask, who can read, and that a missing consent can be seen."""

import pytest
from msgspec.structs import replace

from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import InvalidOpening
from tallynet.protocol.opening import (
    PART_BYTES,
    check_no_consent,
    open_parts,
    part_count,
    seal_part,
    sign_opening_request,
    verify_opening_request,
)
from tallynet.protocol.sealing import SealKey, seal
from tallynet.protocol.units import JobId
from tests.protocol.examples import CLIENT, DOMAIN, NODE, STRANGER, digest, valid_job, valid_opening_request

REQUEST = valid_opening_request()
KEY = SealKey(digest("seal"))
BUNDLE = bytes(range(256)) * (3 * PART_BYTES // 512)
"""One part and a half."""
PARTS = [seal_part(BUNDLE, part, REQUEST, DOMAIN) for part in range(part_count(BUNDLE))]


def test_request_is_its_auditor_s() -> None:
    assert verify_opening_request(sign_opening_request(REQUEST, DOMAIN, STRANGER), DOMAIN, NODE.address) == REQUEST


def test_request_of_somebody_else_is_refused() -> None:
    signed = sign_opening_request(REQUEST, DOMAIN, STRANGER)

    with pytest.raises(InvalidOpening) as refusal:
        verify_opening_request(replace(signed, request=replace(REQUEST, auditor=CLIENT.address)), DOMAIN, NODE.address)
    assert refusal.value.check == 1


@pytest.mark.parametrize(
    ("domain", "node"), [(Domain(1, DOMAIN.contract), NODE), (DOMAIN, CLIENT)], ids=["another chain", "another node"]
)
def test_request_for_somewhere_else_is_refused(domain: Domain, node: object) -> None:
    signed = sign_opening_request(REQUEST, DOMAIN, STRANGER)

    with pytest.raises(InvalidOpening):
        verify_opening_request(signed, domain, getattr(node, "address"))  # noqa: B009


def test_bundle_comes_in_parts_and_is_put_together() -> None:
    assert len(PARTS) == 2
    assert open_parts(PARTS, REQUEST, DOMAIN, KEY) == BUNDLE


def test_part_that_is_not_there_is_refused() -> None:
    with pytest.raises(InvalidOpening) as refusal:
        seal_part(BUNDLE, 2, REQUEST, DOMAIN)
    assert refusal.value.check == 2


@pytest.mark.parametrize(
    "parts", [PARTS[::-1], PARTS[:1], [*PARTS, PARTS[0]]], ids=["in another order", "one of two", "one more"]
)
def test_parts_in_other_places_do_not_open(parts: list[bytes]) -> None:
    with pytest.raises(InvalidOpening):
        open_parts(parts, REQUEST, DOMAIN, KEY)


def test_another_key_opens_nothing() -> None:
    with pytest.raises(InvalidOpening):
        open_parts(PARTS, REQUEST, DOMAIN, SealKey.generate())


def test_answer_to_another_question_does_not_open() -> None:
    with pytest.raises(InvalidOpening):
        open_parts(PARTS, replace(REQUEST, block_hash=digest("another block")), DOMAIN, KEY)


@pytest.mark.parametrize("place", [0, 31, 32, 100, -1])
def test_every_changed_byte_is_found(place: int) -> None:
    changed = bytearray(PARTS[0])
    changed[place] ^= 1

    with pytest.raises(InvalidOpening):
        open_parts([bytes(changed), PARTS[1]], REQUEST, DOMAIN, KEY)


def test_the_same_words_are_never_sealed_the_same_way() -> None:
    assert seal(b"yes", KEY.public, b"") != seal(b"yes", KEY.public, b"")


def test_nothing_is_sealed_to_a_key_that_everybody_knows() -> None:
    with pytest.raises(InvalidOpening):
        seal(b"yes", bytes(32), b"")


def test_a_seal_key_s_secret_is_not_shown() -> None:
    assert digest("seal").hex() not in repr(KEY)


# Consent


REFUSING = valid_job(audit_consent=False)


def test_missing_consent_is_seen_from_the_words() -> None:
    check_no_consent(REFUSING.words, REFUSING.id(DOMAIN), DOMAIN)


def test_job_with_consent_cannot_be_denied() -> None:
    agreeing = valid_job(audit_consent=True)

    with pytest.raises(InvalidOpening) as refusal:
        check_no_consent(agreeing.words, agreeing.id(DOMAIN), DOMAIN)
    assert refusal.value.check == 4


def test_words_of_another_job_show_nothing() -> None:
    with pytest.raises(InvalidOpening) as refusal:
        check_no_consent(REFUSING.words, JobId(digest("job")), DOMAIN)
    assert refusal.value.check == 3


def test_word_less_shows_nothing() -> None:
    with pytest.raises(InvalidOpening) as refusal:
        check_no_consent(REFUSING.words[1:], REFUSING.id(DOMAIN), DOMAIN)
    assert refusal.value.check == 3


def test_words_do_not_tell_the_lists() -> None:
    assert b"".join(REFUSING.words).find(REFUSING.parents[0]) == -1
