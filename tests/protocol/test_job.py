"""Jobs: who asked for it is checked by the signature, within one chain and contract; every bound at its edge."""

from typing import Any

import msgspec
import pytest

from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import InvalidJob
from tallynet.protocol.job import MAX_TOKENS, MILLION, Job, Sampling, SignedJob, sign_job, verify_job
from tallynet.protocol.units import Address, Digest
from tests.protocol.examples import CLIENT, DOMAIN, STRANGER, valid_job, valid_sampling, valid_signed_job

CODEC = msgspec.msgpack.Decoder(Job)


def refused(signed: SignedJob, domain: Domain = DOMAIN) -> None:
    with pytest.raises(InvalidJob) as refusal:
        verify_job(signed, domain)
    assert refusal.value.check == 1


def test_a_signed_job_is_verified_under_its_name() -> None:
    verified = verify_job(valid_signed_job(), DOMAIN)

    assert verified.job == valid_job()
    assert verified.id == valid_job().id(DOMAIN)


def test_the_same_job_twice_has_the_same_name_and_signature() -> None:
    assert valid_signed_job() == valid_signed_job()
    assert valid_job(nonce=bytes(32)).id(DOMAIN) != valid_job().id(DOMAIN)


def test_1_a_job_signed_by_somebody_else() -> None:
    refused(SignedJob(valid_job(), STRANGER.sign(Digest(valid_job().id(DOMAIN)))))


def test_1_a_job_in_somebody_else_s_name() -> None:
    refused(SignedJob(valid_job(client=STRANGER.address), valid_signed_job().signature))


@pytest.mark.parametrize(
    "changes", [{"max_price": 10**15 + 1}, {"deadline": 1}, {"audit_consent": False}, {"parents": ()}]
)
def test_1_a_job_changed_after_it_was_signed(changes: dict[str, Any]) -> None:
    refused(SignedJob(valid_job(**changes), valid_signed_job().signature))


@pytest.mark.parametrize("domain", [Domain(1, DOMAIN.contract), Domain(DOMAIN.chain_id, Address(bytes(20)))])
def test_1_a_job_for_another_chain_or_contract(domain: Domain) -> None:
    refused(valid_signed_job(), domain)


def test_a_job_is_signed_by_nobody_but_its_client() -> None:
    with pytest.raises(ValueError, match="by its client"):
        sign_job(valid_job(client=CLIENT.address), DOMAIN, STRANGER)


@pytest.mark.parametrize(
    ("field", "low", "high"),
    [
        ("max_tokens", 1, MAX_TOKENS),
        ("temperature_millionths", 0, 10 * MILLION),
        ("top_k", 0, 2**31 - 1),
        ("top_p_millionths", 1, MILLION),
    ],
)
def test_the_sampling_parameters_have_their_bounds(field: str, low: int, high: int) -> None:
    in_bounds(valid_job, lambda value: {"sampling": valid_sampling(**{field: value})}, low, high)


@pytest.mark.parametrize(
    ("field", "low", "high"), [("deadline", 0, 2**53 - 1), ("max_price", 0, 2**63 - 1), ("task", 0, 255)]
)
def test_the_numbers_of_a_job_have_their_bounds(field: str, low: int, high: int) -> None:
    in_bounds(valid_job, lambda value: {field: value}, low, high)


@pytest.mark.parametrize(
    "sampling",
    [
        valid_sampling(stop=("",)),
        valid_sampling(stop=("x" * 65,)),
        valid_sampling(stop=("x",) * 9),
    ],
)
def test_stop_strings_have_their_bounds(sampling: Sampling) -> None:
    with pytest.raises(msgspec.ValidationError):
        CODEC.decode(msgspec.msgpack.encode(valid_job(sampling=sampling)))


@pytest.mark.parametrize(
    "changes",
    [
        {"client": bytes(19)},
        {"client": bytes(21)},
        {"model": bytes(31)},
        {"request": bytes(33)},
        {"nonce": b""},
        {"parents": (bytes(32),) * 17},
        {"parents": (bytes(31),)},
        {"audit_consent": 1},
    ],
)
def test_the_fixed_widths_of_a_job_are_kept(changes: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        CODEC.decode(msgspec.msgpack.encode(valid_job(**changes)))


def in_bounds(make: Any, changes: Any, low: int, high: int) -> None:
    """Both ends are taken, and what lies beyond is not."""
    for value in (low, high):
        job = make(**changes(value))
        assert CODEC.decode(msgspec.msgpack.encode(job)) == job
    for value in (low - 1, high + 1, 2**64 - 1, -(2**63)):
        with pytest.raises(msgspec.ValidationError):
            CODEC.decode(msgspec.msgpack.encode(make(**changes(value))))
