"""Bundles in which a signature or a field of the leaf does not hold: checks (2) to (4), and (8)."""

from dataclasses import replace

import msgspec

from tallynet.protocol.bundle import Bundle
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.keys import Key
from tallynet.protocol.leaf import Leaf
from tallynet.protocol.receipt import sign_receipt
from tallynet.protocol.units import Address, Digest, Milliseconds, ModelId, Seconds, Signature, Wei
from tests.audit.examples import CLIENT, DOMAIN, NODE, STRANGER, bundle
from tests.audit.forging import change_job, change_leaf, change_receipt, high_s
from tests.audit.ways import way

VALID = bundle()
OTHER = Digest(b"\x99" * 32)
OTHER_CHAIN = Domain(1, DOMAIN.contract)
OTHER_CONTRACT = Domain(DOMAIN.chain_id, Address(b"\xab" * 20))


def signed_by(client: Key, domain: Domain) -> Bundle:
    """The job under another signature; the leaf holds it, too."""
    return change_leaf(VALID, client_signature=client.sign(Digest(VALID.job.job.id(domain))))


def receipt_by(node: Key, domain: Domain) -> Bundle:
    receipt, leaf = VALID.receipt.receipt, Leaf.unpack(VALID.receipt.leaf)
    return replace(VALID, receipt=sign_receipt(leaf, receipt.index, receipt.anchor_by, domain, node))


def change_sampling(**changes: object) -> Bundle:
    return change_job(VALID, sampling=msgspec.structs.replace(VALID.job.job.sampling, **changes))


# (2)


@way(2, "the network is contract 0x0000000000000000000000000000000000000001 on chain 1", network=OTHER_CHAIN)
def bundle_of_another_chain() -> Bundle:
    """The reader's network is on another chain."""
    return VALID


@way(2, "the network is contract 0xabababab", network=OTHER_CONTRACT)
def bundle_of_another_contract() -> Bundle:
    """The reader's network has another contract on the same chain."""
    return VALID


# (3)


@way(3, "not signed by its client for this chain and contract: signed by")
def job_signed_by_a_stranger() -> Bundle:
    """Not the client signed the job."""
    return signed_by(STRANGER, DOMAIN)


@way(3, "not signed by its client for this chain and contract: signed by")
def job_signed_for_another_chain() -> Bundle:
    """The client signed the job for another chain."""
    return signed_by(CLIENT, OTHER_CHAIN)


@way(3, "not signed by its client for this chain and contract: signed by")
def job_signed_for_another_contract() -> Bundle:
    """The client signed the job for another contract."""
    return signed_by(CLIENT, OTHER_CONTRACT)


@way(3, "the signature's s is high")
def job_signature_with_a_high_s() -> Bundle:
    """The job's signature is written in its second form."""
    return change_leaf(VALID, client_signature=high_s(VALID.job.signature))


@way(3, "the signature's v is 0, not 27 or 28")
def job_signature_with_another_v() -> Bundle:
    """The job's signature ends in 0."""
    return change_leaf(VALID, client_signature=Signature(VALID.job.signature[:64] + b"\0"))


@way(3, "the signature belongs to no key")
def job_signature_of_zeros() -> Bundle:
    """The job's signature is zeros."""
    return change_leaf(VALID, client_signature=Signature(bytes(64) + b"\x1b"))


@way(3, "not signed by its client")
def leaf_of_another_client() -> Bundle:
    """The node wrote another client into the leaf."""
    return change_leaf(VALID, client=STRANGER.address)


@way(3, "not signed by its client")
def leaf_of_another_model() -> Bundle:
    """The node wrote another model into the leaf."""
    return change_leaf(VALID, model=ModelId(OTHER))


@way(3, "not signed by its client")
def leaf_of_another_request() -> Bundle:
    """The node wrote another request into the leaf."""
    return change_leaf(VALID, request=OTHER)


@way(3, "not signed by its client")
def price_ceiling_raised() -> Bundle:
    """The job allows a higher price than was signed."""
    return change_job(VALID, max_price=Wei(10**9))


@way(3, "not signed by its client")
def deadline_moved() -> Bundle:
    """The job has another deadline than was signed."""
    return change_job(VALID, deadline=Milliseconds(2**51))


@way(3, "not signed by its client")
def another_nonce() -> Bundle:
    """The job has another nonce than was signed."""
    return change_job(VALID, nonce=OTHER)


@way(3, "not signed by its client")
def another_task() -> Bundle:
    """The job is of another kind than was signed."""
    return change_job(VALID, task=2)


@way(3, "not signed by its client")
def consent_invented() -> Bundle:
    """The job consents to an audit, which was not signed."""
    return change_job(VALID, audit_consent=True)


@way(3, "not signed by its client")
def parent_invented() -> Bundle:
    """The job builds on another answer, which was not signed."""
    return change_job(VALID, parents=(OTHER,))


@way(3, "not signed by its client")
def more_tokens_than_were_signed() -> Bundle:
    """The job asks for more tokens than was signed."""
    return change_sampling(max_tokens=65)


@way(3, "not signed by its client")
def another_temperature() -> Bundle:
    """The job has another temperature than was signed."""
    return change_sampling(temperature_millionths=1)


@way(3, "not signed by its client")
def another_top_k() -> Bundle:
    """The job keeps another number of likely tokens than was signed."""
    return change_sampling(top_k=1)


@way(3, "not signed by its client")
def another_top_p() -> Bundle:
    """The job keeps another share of likely tokens than was signed."""
    return change_sampling(top_p_millionths=1)


@way(3, "not signed by its client")
def stop_string_left_out() -> Bundle:
    """The job lacks the stop string that was signed."""
    return change_sampling(stop=())


# (4)


@way(4, "the leaf's job is 9999")
def leaf_of_another_job() -> Bundle:
    """The node wrote another job's id into the leaf."""
    return change_leaf(VALID, job=OTHER)


@way(4, "the leaf's parameters is 9999")
def leaf_of_other_parameters() -> Bundle:
    """The node wrote other sampling parameters into the leaf."""
    return change_leaf(VALID, params=OTHER)


@way(4, "for 1000001 wei, the job allows 64 tokens for 1000000 wei")
def dearer_than_allowed() -> Bundle:
    """The run costs a wei more than the client allowed."""
    return change_leaf(VALID, price=Wei(1_000_001))


@way(4, "the leaf counts 65 tokens for 45 wei, the job allows 64 tokens")
def longer_than_allowed() -> Bundle:
    """The answer has a token more than the client allowed."""
    return change_leaf(VALID, completion_tokens=65)


# (8)


@way(8, "the receipt is not signed by its node: signed by")
def receipt_signed_by_a_stranger() -> Bundle:
    """Not the node signed the receipt."""
    return receipt_by(STRANGER, DOMAIN)


@way(8, "the receipt is not signed by its node: signed by")
def receipt_signed_for_another_chain() -> Bundle:
    """The node signed the receipt for another chain."""
    return receipt_by(NODE, OTHER_CHAIN)


@way(8, "the receipt is not signed by its node: the signature's s is high")
def receipt_signature_with_a_high_s() -> Bundle:
    """The receipt's signature is written in its second form."""
    return replace(VALID, receipt=msgspec.structs.replace(VALID.receipt, signature=high_s(VALID.receipt.signature)))


@way(8, "the receipt is not signed by its node: signed by")
def index_moved() -> Bundle:
    """The receipt promises another place in the log than was signed."""
    return change_receipt(VALID, index=3)


@way(8, "the receipt is not signed by its node: signed by")
def promise_moved() -> Bundle:
    """The receipt promises another time than was signed."""
    return change_receipt(VALID, anchor_by=Seconds(2**40))


@way(8, "the receipt is not signed by its node: signed by")
def node_exchanged() -> Bundle:
    """A bundle without an anchor names another node."""
    return replace(VALID, node=STRANGER.address, inclusion=None)


@way(8, "the receipt is not signed by its node: signed by")
def times_in_the_leaf_changed() -> Bundle:
    """The leaf tells of another time than the one that the node promised to log."""
    leaf = replace(Leaf.unpack(VALID.receipt.leaf), ended=Milliseconds(1_767_225_609_999))
    receipt = msgspec.structs.replace(VALID.receipt.receipt, leaf=leaf.hash)
    return replace(VALID, receipt=msgspec.structs.replace(VALID.receipt, receipt=receipt, leaf=leaf.pack()))
