"""Job and receipt beside their leaf: nothing is said twice, and nothing is lost."""

from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallynet.protocol.bundle_forms import pack_job, pack_receipt, read_leaf, unpack_job, unpack_receipt
from tallynet.protocol.errors import InvalidBundle
from tallynet.protocol.job import MAX_TOKENS, Sampling, SignedJob
from tallynet.protocol.leaf import LEAF_BYTES
from tallynet.protocol.units import ModelId, Signature
from tests.protocol.examples import NODE, digest, valid_job, valid_leaf, valid_receipt, valid_signed_job

LEAF, JOB, RECEIPT = valid_leaf(), valid_signed_job(), valid_receipt()
PACKED = pack_job(JOB)
FIXED = 66
"""Bytes of a packed job before its stop strings."""


def test_a_job_comes_back_from_its_packed_form_and_the_leaf() -> None:
    assert unpack_job(PACKED, LEAF) == JOB


def test_a_receipt_comes_back_from_its_packed_form_and_the_leaf() -> None:
    assert unpack_receipt(pack_receipt(RECEIPT), LEAF) == RECEIPT


def test_a_plain_job_takes_68_bytes_and_a_receipt_81() -> None:
    plain = SignedJob(valid_job(sampling=Sampling(1), parents=()), JOB.signature)

    assert len(pack_job(plain)) == FIXED + 2
    assert len(pack_receipt(RECEIPT)) == 81


def test_what_the_leaf_says_is_taken_from_the_leaf() -> None:
    other = replace(LEAF, client=NODE.address, model=ModelId(digest("m")), request=digest("r"))

    told = unpack_job(PACKED, other)

    assert (told.job.client, told.job.model, told.job.request) == (other.client, other.model, other.request)
    assert unpack_receipt(pack_receipt(RECEIPT), other).receipt.leaf == other.hash


@given(
    st.integers(0, 255),
    st.booleans(),
    st.integers(1, MAX_TOKENS),
    st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=20), max_size=4),
    st.integers(0, 8),
    st.integers(0, 2**63 - 1),
)
def test_every_job_comes_back(task: int, consent: bool, tokens: int, stop: list[str], parents: int, price: int) -> None:
    job = valid_job(
        task=task,
        audit_consent=consent,
        sampling=Sampling(tokens, stop=tuple(stop)),
        parents=tuple(digest(f"parent {number}") for number in range(parents)),
        max_price=price,
    )
    signed = SignedJob(job, JOB.signature)

    assert unpack_job(pack_job(signed), LEAF) == signed


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "requires a buffer"),
        (PACKED[: FIXED - 1], "requires a buffer"),
        (PACKED[:FIXED], "index out of range"),
        (PACKED[: FIXED + 2], "cut short in its stop strings"),
        (PACKED[:-1], "63 bytes hold no 2 parents"),
        (PACKED + b"\0", "65 bytes hold no 2 parents"),
        (PACKED[:1] + b"\x02" + PACKED[2:], "index out of range"),
        (PACKED[:2] + bytes(4) + PACKED[6:], "`int` >= 1 - at `$.max_tokens`"),
        (PACKED[:18] + b"\xff" * 8 + PACKED[26:], "$.deadline"),
        (PACKED[:FIXED] + b"\x01\0\x01\xff\0", "'utf-8' codec"),
        (PACKED[:FIXED] + b"\x01\0\0\0", "length >= 1"),
        (PACKED[:FIXED] + b"\0\xff" + bytes(32 * 255), "$.parents"),
    ],
)
def test_another_job_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(InvalidBundle, match="'job' cannot be read") as caught:
        unpack_job(data, LEAF)

    assert caught.value.check == 1
    assert words in caught.value.message


@pytest.mark.parametrize(
    "data", [b"", pack_receipt(RECEIPT)[:-1], pack_receipt(RECEIPT) + b"\0", b"\xff" + pack_receipt(RECEIPT)[1:]]
)
def test_another_receipt_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidBundle, match="'receipt' cannot be read") as caught:
        unpack_receipt(data, LEAF)

    assert caught.value.check == 1


@pytest.mark.parametrize("data", [b"", bytes(LEAF_BYTES), LEAF.pack()[:-1], LEAF.pack() + b"\0"])
def test_another_leaf_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidBundle, match="'leaf' cannot be read") as caught:
        read_leaf(data)

    assert caught.value.check == 1


def test_a_job_beyond_its_bounds_is_our_own_bug() -> None:
    huge = msgspec.structs.replace(JOB.job, deadline=2**64)

    with pytest.raises(ValueError, match="cannot be packed"):
        pack_job(SignedJob(huge, Signature(bytes(65))))
