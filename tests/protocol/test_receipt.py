"""Receipts: chapter 4, checks (1) to (15), each broken alone."""

from typing import Any

import msgspec
import pytest

from tallynet.protocol import merkle
from tallynet.protocol.chunk import ChunkBody, Transcript
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import InvalidReceipt
from tallynet.protocol.job import VerifiedJob
from tallynet.protocol.leaf import Leaf
from tallynet.protocol.receipt import (
    MAX_LOG_SIZE,
    SignedReceipt,
    check_leaf_of_job,
    check_leaf_of_transcript,
    sign_receipt,
    verify_receipt,
)
from tallynet.protocol.units import Seconds
from tests.protocol.examples import (
    CLIENT,
    DOMAIN,
    NODE,
    STRANGER,
    digest,
    valid_leaf,
    valid_receipt,
    valid_transcript,
    valid_verified_job,
)

JOB = valid_verified_job()


def refused(number: int, signed: SignedReceipt, domain: Domain = DOMAIN) -> None:
    with pytest.raises(InvalidReceipt) as refusal:
        verify_receipt(signed, domain, NODE.address)
    assert refusal.value.check == number


def test_a_valid_receipt_passes_every_check() -> None:
    verified = verify_receipt(valid_receipt(), DOMAIN, NODE.address)
    check_leaf_of_job(verified.leaf, JOB)
    check_leaf_of_transcript(verified.leaf, valid_transcript())

    assert verified.leaf == valid_leaf()
    assert verified.node == NODE.address


# (1) to (5): the receipt by itself


def test_1_a_leaf_of_another_length() -> None:
    signed = valid_receipt()

    refused(1, SignedReceipt(signed.receipt, signed.leaf[:-1], signed.signature))


def test_2_a_leaf_of_an_unknown_version() -> None:
    signed = valid_receipt()

    refused(2, SignedReceipt(signed.receipt, b"\x02" + signed.leaf[1:], signed.signature))


def test_3_a_receipt_about_another_leaf() -> None:
    signed, other = valid_receipt(), valid_leaf(completion_tokens=20)

    refused(3, SignedReceipt(signed.receipt, other.pack(), signed.signature))


def test_4_a_receipt_that_names_another_job() -> None:
    receipt = msgspec.structs.replace(valid_receipt().receipt, job=digest("another job"))

    refused(4, SignedReceipt(receipt, valid_leaf().pack(), NODE.sign(receipt.digest(DOMAIN))))


def test_5_a_receipt_signed_by_somebody_else() -> None:
    refused(5, sign_receipt(valid_leaf(), 5, Seconds(1), DOMAIN, STRANGER))


@pytest.mark.parametrize("field", ["index", "anchor_by"])
def test_5_a_promise_changed_after_it_was_signed(field: str) -> None:
    signed = valid_receipt()
    changed: Any = {field: getattr(signed.receipt, field) + 1}

    refused(5, SignedReceipt(msgspec.structs.replace(signed.receipt, **changed), signed.leaf, signed.signature))


def test_5_a_receipt_for_another_chain() -> None:
    refused(5, valid_receipt(), Domain(1, DOMAIN.contract))


# (6) to (12): the leaf tells of the job as it was asked


@pytest.mark.parametrize(
    ("number", "changes"),
    [
        (6, {"job": digest("another job")}),
        (7, {"client": STRANGER.address}),
        (8, {"model": digest("a cheaper model")}),
        (9, {"params": digest("other parameters")}),
        (10, {"request": digest("another request")}),
        (11, {"client_signature": CLIENT.sign(digest("something else"))}),
        (12, {"price": JOB.job.max_price + 1}),
        (12, {"completion_tokens": JOB.job.sampling.max_tokens + 1}),
    ],
)
def test_a_leaf_that_tells_of_another_job(number: int, changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidReceipt) as refusal:
        check_leaf_of_job(valid_leaf(**changes), JOB)
    assert refusal.value.check == number


@pytest.mark.parametrize("changes", [{"price": JOB.job.max_price}, {"completion_tokens": 40}, {"price": 0}])
def test_the_limits_of_the_job_may_be_reached(changes: dict[str, Any]) -> None:
    check_leaf_of_job(valid_leaf(**changes), JOB)


def test_a_job_that_was_changed_after_it_was_signed_has_another_leaf() -> None:
    job = VerifiedJob(JOB.job, valid_verified_job(max_price=7).id, JOB.signature)

    with pytest.raises(InvalidReceipt) as refusal:
        check_leaf_of_job(valid_leaf(), job)
    assert refusal.value.check == 6


# (13) to (15): the leaf commits to what was streamed


def other_transcript(**changes: Any) -> Transcript:
    """What a client holds that was streamed something else in the last chunk but one."""
    transcript, valid = Transcript(JOB.id, digest("secret of the job"), digest("no prompt")), valid_transcript()
    for index, body in enumerate(valid.bodies):
        transcript.extend(msgspec.structs.replace(body, **changes) if index == 1 else body)
    return transcript


@pytest.mark.parametrize("changes", [{"text": "都"}, {"tokens": (5, 7, 9)}])
def test_13_an_output_that_was_not_streamed(changes: dict[str, Any]) -> None:
    leaf_refused(13, valid_leaf(), other_transcript(**changes))


def test_13_a_chunk_that_was_not_streamed() -> None:
    transcript = valid_transcript()
    transcript.extend(ChunkBody((), "more", ()))

    leaf_refused(13, valid_leaf(), transcript)


@pytest.mark.parametrize("counted", [0, 18, 20])
def test_14_tokens_that_were_not_streamed(counted: int) -> None:
    leaf_refused(14, valid_leaf(completion_tokens=counted), valid_transcript())


def test_15_evidence_that_was_not_streamed() -> None:
    leaf_refused(15, valid_leaf(), other_transcript(logprobs=(-0.5, -12.5, 0.0)))
    leaf_refused(15, valid_leaf(trace=digest("trace")), valid_transcript())


def test_15_a_prompt_that_was_not_the_one_announced() -> None:
    leaf_refused(15, valid_leaf(), other_transcript())


def leaf_refused(number: int, leaf: Leaf, transcript: Transcript) -> None:
    with pytest.raises(InvalidReceipt) as refusal:
        check_leaf_of_transcript(leaf, transcript)
    assert refusal.value.check == number


def test_a_refusal_names_both_values() -> None:
    with pytest.raises(InvalidReceipt) as refusal:
        check_leaf_of_job(valid_leaf(model=digest("a cheaper model")), JOB)

    assert digest("a cheaper model").hex() in refusal.value.message
    assert JOB.job.model.hex() in refusal.value.message


def test_an_index_has_the_bound_of_the_tree() -> None:
    assert MAX_LOG_SIZE == merkle.MAX_SIZE
