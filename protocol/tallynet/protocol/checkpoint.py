"""(5) A checkpoint: a node's signed statement of its whole log. Two of one size with two roots convict it.

Source: spec chapter 5.
"""

from typing import Annotated

from msgspec import Meta, Struct

from tallynet.protocol import eip712
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import InvalidCheckpoint, InvalidSignature
from tallynet.protocol.job import Bytes32, Bytes65
from tallynet.protocol.keys import Key, check_signed_by
from tallynet.protocol.receipt import MAX_LOG_SIZE
from tallynet.protocol.units import Address, Digest, Signature

CHECKPOINT_TYPE = b"Checkpoint(uint64 size,bytes32 root)"
_CHECKPOINT_HASH = eip712.keccak(CHECKPOINT_TYPE)


class Checkpoint(Struct, frozen=True, forbid_unknown_fields=True):
    size: Annotated[int, Meta(ge=0, lt=MAX_LOG_SIZE)]
    """Leaves in the log."""
    root: Annotated[Digest, Bytes32]
    """RFC 9162 root of all of them."""

    def digest(self, domain: Domain) -> Digest:
        return domain.digest(eip712.struct(_CHECKPOINT_HASH, eip712.uint(self.size), self.root))


class SignedCheckpoint(Struct, frozen=True, forbid_unknown_fields=True):
    checkpoint: Checkpoint
    signature: Annotated[Signature, Bytes65]


def sign_checkpoint(checkpoint: Checkpoint, domain: Domain, key: Key) -> SignedCheckpoint:
    """Call only for a head that the log's compare-and-swap row has let through."""
    return SignedCheckpoint(checkpoint, key.sign(checkpoint.digest(domain)))


def verify_checkpoint(signed: SignedCheckpoint, domain: Domain, node: Address) -> Checkpoint:
    """Raises `InvalidCheckpoint` unless `node` signed it for this chain and contract."""
    # (1) the node signed the checkpoint
    try:
        check_signed_by(signed.checkpoint.digest(domain), signed.signature, node)
    except InvalidSignature as error:
        raise InvalidCheckpoint(
            f"the checkpoint is not signed by its node: {error.message}", check=1, evidence=error.evidence
        ) from error
    return signed.checkpoint
