"""Our digests, written out by hand, against the general encoder of eth-account, for every signed statement."""

from collections.abc import Callable
from typing import Any, Protocol

import pytest
from eth_account.messages import _hash_eip191_message, encode_typed_data
from hypothesis import given, settings
from hypothesis import strategies as st

from tallynet.protocol import eip712
from tallynet.protocol.advert import ADVERT_TYPE, OFFER_TYPE, Advert, Offer
from tallynet.protocol.checkpoint import CHECKPOINT_TYPE, Checkpoint
from tallynet.protocol.chunk import CHUNK_TYPE, Chunk
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.job import JOB_TYPE, SAMPLING_TYPE, Job, Sampling
from tallynet.protocol.receipt import RECEIPT_TYPE, Receipt
from tallynet.protocol.units import Address, Digest
from tests.protocol.examples import (
    DOMAIN,
    valid_advert,
    valid_checkpoint,
    valid_chunk,
    valid_job,
    valid_receipt,
    valid_sampling,
)
from tests.protocol.json_form import DOMAIN_FIELDS, camel, members, write

bytes32 = st.binary(min_size=32, max_size=32).map(Digest)
bytes20 = st.binary(min_size=20, max_size=20).map(Address)
text = st.text(max_size=20)
prices = st.integers(0, 2**53 - 1)
times = st.integers(0, 2**53 - 1)
counts = st.integers(0, 2**32 - 1)

domains = st.builds(Domain, st.integers(1, 2**64 - 1), bytes20)
samplings = st.builds(
    Sampling,
    max_tokens=st.integers(1, 8192),
    temperature_millionths=st.integers(0, 10_000_000),
    top_k=st.integers(0, 2**31 - 1),
    top_p_millionths=st.integers(1, 1_000_000),
    stop=st.lists(text, max_size=8).map(tuple),
)
jobs = st.builds(
    Job,
    client=bytes20,
    model=bytes32,
    request=bytes32,
    sampling=samplings,
    deadline=times,
    max_price=st.integers(0, 2**63 - 1),
    nonce=bytes32,
    parents=st.lists(bytes32, max_size=16).map(tuple),
    audit_consent=st.booleans(),
    task=st.integers(0, 255),
)
chunks = st.builds(Chunk, job=bytes32, index=counts, tokens=counts, root=bytes32)
receipts = st.builds(Receipt, leaf=bytes32, index=st.integers(0, 2**40 - 1), anchor_by=times, job=bytes32)
checkpoints = st.builds(Checkpoint, size=st.integers(0, 2**40 - 1), root=bytes32)
offers = st.builds(
    Offer,
    model=bytes32,
    name=text,
    context_length=counts,
    prompt_price=prices,
    completion_price=prices,
    tokens_per_second=counts,
    slots=counts,
    free_slots=counts,
    waiting=counts,
    evidence=text,
    task=st.integers(0, 255),
)
adverts = st.builds(
    Advert,
    peer=text,
    addresses=st.lists(text, max_size=16).map(tuple),
    incarnation=times,
    issued=times,
    expires=times,
    log_size=st.integers(0, 2**40 - 1),
    offers=st.lists(offers, max_size=5).map(tuple),
)


class Statement(Protocol):
    def digest(self, domain: Domain) -> Digest: ...


def reference_digest(statement: object, types: dict[str, bytes], domain: Domain) -> bytes:
    """The digest by eth-account; `types` names our type strings, the statement's own first."""
    message = encode_typed_data(
        full_message={
            "types": {"EIP712Domain": DOMAIN_FIELDS, **{name: members(name, kind) for name, kind in types.items()}},
            "primaryType": next(iter(types)),
            "domain": {
                "name": eip712.NAME,
                "version": eip712.VERSION,
                "chainId": domain.chain_id,
                "verifyingContract": "0x" + domain.contract.hex(),
            },
            "message": write(statement, camel),
        }
    )
    return bytes(_hash_eip191_message(message))


JOB_TYPES = {"Job": JOB_TYPE, "Sampling": SAMPLING_TYPE}
ADVERT_TYPES = {"Advert": ADVERT_TYPE, "Offer": OFFER_TYPE}


@settings(max_examples=60)
@given(job=jobs, domain=domains)
def test_the_digest_of_a_job_is_that_of_eth_account(job: Job, domain: Domain) -> None:
    assert job.id(domain) == reference_digest(job, JOB_TYPES, domain)


@settings(max_examples=60)
@given(advert=adverts, domain=domains)
def test_the_digest_of_an_advert_is_that_of_eth_account(advert: Advert, domain: Domain) -> None:
    assert advert.digest(domain) == reference_digest(advert, ADVERT_TYPES, domain)


@pytest.mark.parametrize(
    ("statements", "types"),
    [
        (chunks, {"Chunk": CHUNK_TYPE}),
        (receipts, {"Receipt": RECEIPT_TYPE}),
        (checkpoints, {"Checkpoint": CHECKPOINT_TYPE}),
    ],
    ids=["chunk", "receipt", "checkpoint"],
)
def test_the_digest_of_a_flat_statement_is_that_of_eth_account(
    statements: st.SearchStrategy[Statement], types: dict[str, bytes]
) -> None:
    @settings(max_examples=30)
    @given(statement=statements, domain=domains)
    def check(statement: Statement, domain: Domain) -> None:
        assert statement.digest(domain) == reference_digest(statement, types, domain)

    check()


def test_the_examples_have_the_digests_of_eth_account() -> None:
    assert valid_job().id(DOMAIN) == reference_digest(valid_job(), JOB_TYPES, DOMAIN)
    assert valid_advert().digest(DOMAIN) == reference_digest(valid_advert(), ADVERT_TYPES, DOMAIN)


def test_the_parameters_in_a_leaf_are_the_struct_hash_of_the_job_s_sampling() -> None:
    alone = reference_digest(valid_sampling(), {"Sampling": SAMPLING_TYPE}, DOMAIN)

    assert DOMAIN.digest(valid_sampling().digest) == alone


def test_a_statement_means_nothing_on_another_chain_or_contract() -> None:
    elsewhere = [
        Domain(DOMAIN.chain_id + 1, DOMAIN.contract),
        Domain(DOMAIN.chain_id, Address(bytes(20))),
    ]
    statements: list[Callable[[Domain], bytes]] = [
        valid_job().id,
        valid_advert().digest,
        valid_chunk().digest,
        valid_receipt().receipt.digest,
        valid_checkpoint().digest,
    ]

    for digest in statements:
        assert len({digest(domain) for domain in [DOMAIN, *elsewhere]}) == 3


@pytest.mark.parametrize("number", [-1, 2**256])
def test_a_number_that_fits_no_word_is_not_encoded(number: int) -> None:
    with pytest.raises(OverflowError):
        eip712.uint(number)


@pytest.mark.parametrize(
    "field",
    ["client", "model", "request", "sampling", "deadline", "max_price", "nonce", "parents", "audit_consent", "task"],
)
def test_every_field_of_a_job_decides_its_name(field: str) -> None:
    other: dict[str, Any] = {
        "client": Address(bytes(20)),
        "model": bytes(32),
        "request": bytes(32),
        "sampling": valid_sampling(top_k=51),
        "deadline": 1,
        "max_price": 1,
        "nonce": bytes(32),
        "parents": (),
        "audit_consent": False,
        "task": 2,
    }
    assert valid_job(**{field: other[field]}).id(DOMAIN) != valid_job().id(DOMAIN)
