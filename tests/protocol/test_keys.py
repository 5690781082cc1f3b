"""One key, three names: address, peer id, signature; each against the library that defines it."""

import warnings

import base58
import pytest
from coincurve import PrivateKey
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st

from tallynet.protocol.errors import InvalidSignature, Misconfigured
from tallynet.protocol.keys import Key, address_of, address_of_peer, check_signed_by, peer_id_of, recover
from tallynet.protocol.units import Digest
from tests.protocol.examples import CLIENT, NODE, digest

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
secrets = st.integers(1, ORDER - 1).map(lambda number: number.to_bytes(32, "big"))
digests = st.binary(min_size=32, max_size=32).map(Digest)
SAID = digest("what was said")


@settings(max_examples=30)
@given(secret=secrets, said=digests)
def test_address_and_signature_are_those_of_eth_account(secret: bytes, said: Digest) -> None:
    key, account = Key(secret), Account.from_key(secret)

    assert key.address == bytes.fromhex(account.address[2:])
    assert key.sign(said) == account.unsafe_sign_hash(said).signature
    assert recover(said, key.sign(said)) == key.address


@settings(max_examples=20)
@given(secret=secrets)
def test_the_peer_id_is_the_one_that_libp2p_derives(secret: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # libp2p imports what its own dependencies call deprecated
        from libp2p.crypto.secp256k1 import Secp256k1PrivateKey
        from libp2p.peer.id import ID
    key = Key(secret)

    assert key.peer_id == ID.from_pubkey(Secp256k1PrivateKey.new(secret).get_public_key()).to_base58()
    assert address_of_peer(key.peer_id) == key.address


def test_both_forms_of_a_public_key_have_one_address() -> None:
    long = PrivateKey(NODE.secret).public_key.format(compressed=False)

    assert address_of(long) == address_of(NODE.public) == NODE.address


def test_a_generated_key_is_new() -> None:
    assert Key.generate().secret != Key.generate().secret


def test_the_repr_of_a_key_hides_it() -> None:
    assert NODE.secret.hex() not in repr(NODE)
    assert NODE.address.hex() in repr(NODE)


@pytest.mark.parametrize(
    "secret", [b"", bytes(32), b"\x01" * 31, b"\x01" * 33, ORDER.to_bytes(32, "big"), b"\xff" * 32]
)
def test_a_secret_outside_the_group_is_refused(secret: bytes) -> None:
    with pytest.raises(Misconfigured):
        Key(secret)


# Signatures: start valid, break one thing


def broken(number: int) -> bytes:
    """A signature that fails check `number`."""
    good = NODE.sign(SAID)
    high = (ORDER - int.from_bytes(good[32:64], "big")).to_bytes(32, "big")
    return {
        1: good[:64],
        2: good[:64] + bytes([good[64] - 27]),
        3: good[:32] + high + bytes([55 - good[64]]),
        4: bytes(64) + b"\x1b",
    }[number]


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_signature_of_another_form_is_refused(number: int) -> None:
    with pytest.raises(InvalidSignature) as refusal:
        recover(SAID, broken(number))

    assert refusal.value.check == number
    assert refusal.value.evidence["signature"] == broken(number)


def test_the_high_s_form_would_name_the_same_signer() -> None:
    """Hence check (3): without it everybody could write a second signature of the same statement."""
    high = broken(3)

    assert Account._recover_hash(SAID, signature=high) == Account.from_key(NODE.secret).address


@pytest.mark.parametrize("v", [0, 1, 26, 29, 37, 255])
def test_only_27_and_28_are_a_v(v: int) -> None:
    with pytest.raises(InvalidSignature) as refusal:
        recover(SAID, NODE.sign(SAID)[:64] + bytes([v]))
    assert refusal.value.check == 2


@pytest.mark.parametrize("length", [0, 1, 64, 66, 130])
def test_only_65_bytes_are_a_signature(length: int) -> None:
    with pytest.raises(InvalidSignature) as refusal:
        recover(SAID, (NODE.sign(SAID) * 2)[:length])
    assert refusal.value.check == 1


@pytest.mark.parametrize("r", [0, ORDER, 2**256 - 1])
def test_an_r_outside_the_group_is_refused(r: int) -> None:
    with pytest.raises(InvalidSignature) as refusal:
        recover(SAID, r.to_bytes(32, "big") + NODE.sign(SAID)[32:])
    assert refusal.value.check == 4


def test_somebody_else_s_signature_is_refused_with_both_names() -> None:
    with pytest.raises(InvalidSignature) as refusal:
        check_signed_by(SAID, NODE.sign(SAID), CLIENT.address)

    assert refusal.value.check == 5
    assert NODE.address.hex() in refusal.value.message
    assert CLIENT.address.hex() in refusal.value.message


@settings(max_examples=60)
@given(bit=st.integers(0, 65 * 8 - 1))
def test_a_flipped_bit_is_never_the_node_s_signature(bit: int) -> None:
    flipped = int.from_bytes(NODE.sign(SAID), "big") ^ 1 << bit

    with pytest.raises(InvalidSignature):
        check_signed_by(SAID, flipped.to_bytes(65, "big"), NODE.address)


# Peer ids


def ed25519_peer() -> str:
    return base58.b58encode(bytes([0x00, 0x24, 0x08, 0x01, 0x12, 0x20]) + digest("ed25519")).decode()


@pytest.mark.parametrize(
    "peer",
    [
        "",
        "16Uiu2HAm",
        NODE.peer_id[:-1],
        NODE.peer_id + "\n",
        " " + NODE.peer_id,
        "1" + NODE.peer_id,
        NODE.peer_id.replace("U", "0"),
        NODE.peer_id[:-1] + "é",
        ed25519_peer(),
        peer_id_of(b"\x05" + NODE.public[1:]),
        peer_id_of(b"\x02" + b"\xff" * 32),
        "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N",
    ],
)
def test_a_peer_id_without_a_secp256k1_key_in_its_one_form_is_refused(peer: str) -> None:
    with pytest.raises(InvalidSignature):
        address_of_peer(peer)
