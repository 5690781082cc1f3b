"""Checkpoints: a node's word about its whole log."""

import pytest

from tallynet.protocol.checkpoint import Checkpoint, SignedCheckpoint, sign_checkpoint, verify_checkpoint
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import InvalidCheckpoint
from tests.protocol.examples import DOMAIN, NODE, STRANGER, digest, valid_checkpoint, valid_signed_checkpoint

VALID = valid_signed_checkpoint()


def test_a_valid_checkpoint_is_returned() -> None:
    assert verify_checkpoint(VALID, DOMAIN, NODE.address) == valid_checkpoint()


@pytest.mark.parametrize(
    ("signed", "domain"),
    [
        (SignedCheckpoint(Checkpoint(VALID.checkpoint.size + 1, VALID.checkpoint.root), VALID.signature), DOMAIN),
        (SignedCheckpoint(Checkpoint(VALID.checkpoint.size, digest("fork")), VALID.signature), DOMAIN),
        (sign_checkpoint(VALID.checkpoint, DOMAIN, STRANGER), DOMAIN),
        (VALID, Domain(1, DOMAIN.contract)),
    ],
    ids=["another size", "another root", "another signer", "another chain"],
)
def test_1_a_checkpoint_that_its_node_did_not_sign(signed: SignedCheckpoint, domain: Domain) -> None:
    with pytest.raises(InvalidCheckpoint) as refusal:
        verify_checkpoint(signed, domain, NODE.address)
    assert refusal.value.check == 1
