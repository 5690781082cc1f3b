"""Commitments: what is hidden until it is opened, and that nothing else opens it."""

import hashlib
import hmac
import math
from typing import Any

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from hypothesis import given, settings
from hypothesis import strategies as st

from tallynet.protocol.commitment import (
    as_float32,
    chunk_salt,
    commit,
    commit_chunk,
    commit_prompt,
    commit_request,
    hash_evidence,
    pack_tokens,
    prompt_salt,
    request_salt,
    salt,
    seed,
)
from tests.protocol.examples import PROMPT, SECRET, digest

tokens = st.lists(st.integers(0, 2**32 - 1), max_size=16).map(tuple)


@given(secret=st.binary(min_size=32, max_size=32), label=st.binary(max_size=40))
def test_a_salt_is_hkdf_expand(secret: bytes, label: bytes) -> None:
    assert salt(secret, label) == HKDFExpand(SHA256(), 32, label).derive(secret)


def test_every_part_of_a_job_has_a_salt_of_its_own() -> None:
    salts = [request_salt(SECRET), prompt_salt(SECRET), *(chunk_salt(SECRET, index) for index in range(600))]

    assert len(set(salts)) == len(salts)
    assert request_salt(digest("another secret")) != request_salt(SECRET)


def test_a_commitment_is_the_hash_that_the_chapter_says() -> None:
    by_hand = hashlib.sha256(b"tallynet/request/1\0" + b"s" * 32 + (5).to_bytes(8, "big") + b"hello").digest()

    assert commit_request(b"s" * 32, b"hello") == by_hand == commit(b"tallynet/request/1\0", b"s" * 32, b"hello")


def test_one_text_under_two_salts_cannot_be_recognised() -> None:
    assert commit_request(digest("a"), b"yes") != commit_request(digest("b"), b"yes")


def test_a_commitment_of_one_kind_is_none_of_another() -> None:
    data, salt = pack_tokens(PROMPT), digest("salt")
    made = {commit_request(salt, data), commit_prompt(salt, PROMPT), commit_chunk(salt, PROMPT, ""), seed(salt)}

    assert len(made) == 4


@settings(max_examples=60)
@given(data=st.binary(min_size=1, max_size=60), place=st.integers(0, 10_000))
def test_one_flipped_bit_opens_nothing(data: bytes, place: int) -> None:
    bit = place % (len(data) * 8)
    flipped = (int.from_bytes(data, "big") ^ 1 << bit).to_bytes(len(data), "big")

    assert commit_request(SECRET, flipped) != commit_request(SECRET, data)
    assert commit_request(SECRET, data + b"\0") != commit_request(SECRET, data)


@given(one=st.tuples(tokens, st.text(max_size=8)), other=st.tuples(tokens, st.text(max_size=8)))
def test_two_chunks_have_one_commitment_only_when_they_are_equal(
    one: tuple[tuple[int, ...], str], other: tuple[tuple[int, ...], str]
) -> None:
    assert (commit_chunk(SECRET, *one) == commit_chunk(SECRET, *other)) == (one == other)


def test_no_token_can_be_taken_for_text() -> None:
    assert commit_chunk(SECRET, (65,), "") != commit_chunk(SECRET, (), "\0\0\0A")


@pytest.mark.parametrize(
    "other",
    [
        {"index": 1},
        {"logprobs": (-0.5, -0.25)},
        {"logprobs": (-0.5,)},
        {"logprobs": ()},
        {"evidence": b"\x01\x03"},
        {"evidence": b""},
    ],
)
def test_every_part_of_the_evidence_is_hashed(other: dict[str, Any]) -> None:
    valid: dict[str, Any] = {"index": 0, "logprobs": (-0.5, -0.125), "evidence": b"\x01\x02"}

    assert hash_evidence(**{**valid, **other}) != hash_evidence(**valid)


def test_logprobs_are_hashed_as_float32() -> None:
    assert hash_evidence(0, (-0.1,), b"") == hash_evidence(0, as_float32((-0.1,)), b"")
    assert as_float32((-0.1,)) != (-0.1,)


@given(st.lists(st.floats(width=32, allow_nan=False), max_size=16).map(tuple))
def test_a_float32_stays_as_it_is(values: tuple[float, ...]) -> None:
    assert as_float32(values) == values


def test_a_number_beyond_float32_is_not_rounded_to_infinity() -> None:
    with pytest.raises(OverflowError):
        as_float32((-1e300,))
    assert math.isinf(as_float32((-math.inf,))[0])


def test_the_seed_of_a_job_is_the_hash_that_the_chapter_says() -> None:
    assert seed(digest("job")) == hashlib.sha256(b"tallynet/seed/1\0" + digest("job")).digest()


def test_tokens_are_packed_with_their_count() -> None:
    assert pack_tokens(()).hex() == "00000000"
    assert pack_tokens((1, 2**32 - 1)).hex() == "00000002" + "00000001" + "ffffffff"


def test_hmac_and_hkdf_agree_on_the_first_block() -> None:
    assert salt(SECRET, b"request") == hmac.digest(SECRET, b"request\x01", "sha256")
