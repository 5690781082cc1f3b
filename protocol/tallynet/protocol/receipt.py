"""(4) A receipt: the node's signed promise that a leaf stands at an index, and will be anchored by a time.

The node signs only after the index is durable. Source: spec chapter 4.
"""

from typing import Annotated

from msgspec import Meta, Struct

from tallynet.protocol import eip712
from tallynet.protocol.chunk import Transcript
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import InvalidReceipt, InvalidSignature
from tallynet.protocol.job import Bytes32, Bytes65, VerifiedJob
from tallynet.protocol.keys import Key, check_signed_by
from tallynet.protocol.leaf import LEAF_BYTES, Leaf
from tallynet.protocol.units import Address, Digest, JobId, Seconds, Signature

MAX_LOG_SIZE = 2**40

RECEIPT_TYPE = b"Receipt(bytes32 leaf,uint64 index,uint64 anchorBy,bytes32 job)"
_RECEIPT_HASH = eip712.keccak(RECEIPT_TYPE)


class Receipt(Struct, frozen=True, forbid_unknown_fields=True):
    """The promise."""

    leaf: Annotated[Digest, Bytes32]
    """RFC 9162 hash of the leaf."""
    index: Annotated[int, Meta(ge=0, lt=MAX_LOG_SIZE)]
    """Where the leaf stands in the node's log."""
    anchor_by: Annotated[Seconds, Meta(ge=0, lt=2**53)]
    """The contract knows a log larger than `index` at this block time at the latest."""
    job: Annotated[JobId, Bytes32]

    def digest(self, domain: Domain) -> Digest:
        return domain.digest(
            eip712.struct(_RECEIPT_HASH, self.leaf, eip712.uint(self.index), eip712.uint(self.anchor_by), self.job)
        )


class SignedReceipt(Struct, frozen=True, forbid_unknown_fields=True):
    """A receipt as it travels, with the leaf it is about."""

    receipt: Receipt
    leaf: Annotated[bytes, Meta(min_length=LEAF_BYTES, max_length=LEAF_BYTES)]
    signature: Annotated[Signature, Bytes65]


class VerifiedReceipt(Struct, frozen=True):
    """A receipt whose signature and leaf have been checked."""

    receipt: Receipt
    leaf: Leaf
    signature: Signature
    node: Address


def sign_receipt(leaf: Leaf, index: int, anchor_by: Seconds, domain: Domain, key: Key) -> SignedReceipt:
    """Call only once `leaf` is durable at `index`: the signature cannot be taken back."""
    receipt = Receipt(leaf.hash, index, anchor_by, leaf.job)
    return SignedReceipt(receipt, leaf.pack(), key.sign(receipt.digest(domain)))


def verify_receipt(signed: SignedReceipt, domain: Domain, node: Address) -> VerifiedReceipt:
    """Check what a receipt says by itself: chapter 4, checks (1) to (5). Raises `InvalidReceipt`."""
    leaf = Leaf.unpack(signed.leaf)  # (1) and (2): a leaf of known form
    receipt = signed.receipt
    # (3) the receipt is about this leaf
    if receipt.leaf != leaf.hash:
        raise InvalidReceipt(
            f"the receipt promises leaf {receipt.leaf.hex()}, the leaf given is {leaf.hash.hex()}", check=3
        )
    # (4) receipt and leaf name the same job
    if receipt.job != leaf.job:
        raise InvalidReceipt(f"the receipt names job {receipt.job.hex()}, its leaf job {leaf.job.hex()}", check=4)
    # (5) the node signed it, for our chain and contract
    try:
        check_signed_by(receipt.digest(domain), signed.signature, node)
    except InvalidSignature as error:
        raise InvalidReceipt(
            f"the receipt is not signed by its node: {error.message}", check=5, evidence=error.evidence
        ) from error
    return VerifiedReceipt(receipt, leaf, signed.signature, node)


def check_leaf_of_job(leaf: Leaf, job: VerifiedJob) -> None:
    """Check that a leaf tells of this job as it was asked: checks (6) to (12). Raises `InvalidReceipt`."""
    asked = job.job
    for check, name, said, expected in (
        (6, "job", leaf.job, job.id),
        (7, "client", leaf.client, asked.client),
        (8, "model", leaf.model, asked.model),
        (9, "parameters", leaf.params, asked.sampling.digest),
        (10, "request commitment", leaf.request, asked.request),
        (11, "client signature", leaf.client_signature, job.signature),
    ):
        # (6) … (11) each field is the job's own
        if said != expected:
            raise InvalidReceipt(f"the leaf's {name} is {said.hex()}, the job's is {expected.hex()}", check=check)
    # (12) the price and the token count stay within what the client allowed
    if leaf.price > asked.max_price or leaf.completion_tokens > asked.sampling.max_tokens:
        raise InvalidReceipt(
            f"the leaf counts {leaf.completion_tokens} tokens for {leaf.price} wei, the job allows "
            f"{asked.sampling.max_tokens} tokens for {asked.max_price} wei",
            check=12,
        )


def check_leaf_of_transcript(leaf: Leaf, transcript: Transcript) -> None:
    """Check that a leaf commits to the answer that was streamed: checks (13) to (15). Raises `InvalidReceipt`."""
    # (13) the output commitment is the root of the streamed chunks
    if leaf.output != transcript.output_root:
        raise InvalidReceipt(
            f"the leaf commits to output {leaf.output.hex()}, the chunks streamed to {transcript.output_root.hex()}",
            check=13,
        )
    # (14) so many tokens were streamed
    if leaf.completion_tokens != transcript.token_count:
        raise InvalidReceipt(
            f"the leaf counts {leaf.completion_tokens} tokens, {transcript.token_count} were streamed", check=14
        )
    # (15) the trace is the root of the evidence streamed
    if leaf.trace != transcript.trace_root:
        raise InvalidReceipt(
            f"the leaf commits to trace {leaf.trace.hex()}, the evidence streamed to {transcript.trace_root.hex()}",
            check=15,
        )
