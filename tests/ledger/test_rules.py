"""What nodes sign for the contract, compared with what a wallet makes of the same words."""

import pytest
from eth_account.messages import _hash_eip191_message, encode_typed_data

from tallynet.ledger.rules import consent_digest, relay_digest, reward_of, sign_relay
from tallynet.protocol.checkpoint import Checkpoint
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import Refused
from tallynet.protocol.keys import check_signed_by
from tallynet.protocol.units import ZERO_DIGEST, Address, Digest, Wei
from tests.ledger.worlds import NODE, OPERATOR
from tests.protocol.faults import LOG
from tests.protocol.json_form import DOMAIN_FIELDS

DOMAIN = Domain(8453, Address(b"\x42" * 20))


def wallet_digest(name: str, members: list[tuple[str, str]], message: dict[str, object]) -> bytes:
    document = {
        "types": {
            "EIP712Domain": DOMAIN_FIELDS,
            name: [{"type": kind, "name": member} for kind, member in members],
        },
        "primaryType": name,
        "domain": {
            "name": "Tallynet",
            "version": "1",
            "chainId": DOMAIN.chain_id,
            "verifyingContract": "0x" + DOMAIN.contract.hex(),
        },
        "message": message,
    }
    return bytes(_hash_eip191_message(encode_typed_data(full_message=document)))


def test_a_relayed_anchor_has_the_digest_that_a_wallet_signs() -> None:
    members = [("uint64", "size"), ("bytes32", "root")]
    expected = wallet_digest("Anchor", members, {"size": 7, "root": LOG.root(7)})

    assert relay_digest(DOMAIN, 7, LOG.root(7)) == expected


def test_a_consent_has_the_digest_that_a_wallet_signs() -> None:
    members = [("address", "operator"), ("address", "node")]
    who = {"operator": "0x" + OPERATOR.address.hex(), "node": "0x" + NODE.address.hex()}

    assert consent_digest(DOMAIN, OPERATOR.address, NODE.address) == wallet_digest("Registration", members, dict(who))


def test_a_relay_carries_the_node_s_signature_and_proof() -> None:
    relay = sign_relay(DOMAIN, NODE, 11, LOG.root(11), LOG.consistency(7, 11))

    assert (relay.node, relay.size, relay.root) == (NODE.address, 11, LOG.root(11))
    assert relay.proof == tuple(LOG.consistency(7, 11))
    check_signed_by(relay_digest(DOMAIN, 11, LOG.root(11)), relay.signature, NODE.address)


def test_a_checkpoint_of_the_same_words_has_another_digest() -> None:
    assert relay_digest(DOMAIN, 11, LOG.root(11)) != Checkpoint(11, LOG.root(11)).digest(DOMAIN)


def test_a_relay_that_cannot_be_posted_is_not_signed() -> None:
    with pytest.raises(Refused, match="size is too large"):
        sign_relay(DOMAIN, NODE, 2**40, LOG.root(7), [])
    with pytest.raises(Refused, match="proof has the wrong length"):
        sign_relay(DOMAIN, NODE, 7, LOG.root(7), [ZERO_DIGEST] * 64)
    with pytest.raises(ValueError, match="a digest has 32 bytes"):
        sign_relay(DOMAIN, NODE, 7, Digest(b"short"), [])


@pytest.mark.parametrize(("stake", "reward"), [(10, 1), (19, 1), (9, 0), (1, 0), (10**18 + 9, 10**17)])
def test_a_reward_is_a_tenth_rounded_down(stake: int, reward: int) -> None:
    assert reward_of(Wei(stake)) == reward
