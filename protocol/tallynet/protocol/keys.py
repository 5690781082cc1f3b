"""One secp256k1 key is a peer's name everywhere: its libp2p id, its signature, its account on the chain."""

from functools import cached_property, lru_cache
from typing import Self

import base58
from coincurve import PrivateKey, PublicKey

from tallynet.protocol.eip712 import keccak
from tallynet.protocol.errors import InvalidSignature, Misconfigured
from tallynet.protocol.units import Address, Digest, PeerId, Signature, prefixed

_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_HALF_ORDER = _ORDER // 2
# libp2p peer-ids spec: identity multihash (0x00, length 37) of the protobuf {1: Secp256k1 (2), 2: 33 bytes}.
_PEER_PREFIX = bytes([0x00, 0x25, 0x08, 0x02, 0x12, 0x21])


class Key:
    """A private key. Its repr shows the address only."""

    def __init__(self, secret: bytes) -> None:
        """`secret` is 32 bytes, 0 < secret < curve order; raises `Misconfigured` otherwise."""
        if len(secret) != 32 or not 0 < int.from_bytes(secret, "big") < _ORDER:
            raise Misconfigured(
                "The private key is not 32 bytes within the secp256k1 group order.",
                remedy="Make a new one with `tallynet node init`.",
            )
        self._private = PrivateKey(secret)

    @classmethod
    def generate(cls) -> Self:
        return cls(PrivateKey().secret)

    @property
    def secret(self) -> bytes:
        return self._private.secret

    @cached_property
    def public(self) -> bytes:
        """The compressed public key, 33 bytes."""
        return self._private.public_key.format(compressed=True)

    @cached_property
    def address(self) -> Address:
        return address_of(self.public)

    @cached_property
    def peer_id(self) -> PeerId:
        return peer_id_of(self.public)

    def sign(self, digest: Digest) -> Signature:
        """Sign a 32-byte digest; deterministic (RFC 6979), low s."""
        raw = self._private.sign_recoverable(digest, hasher=None)
        return Signature(raw[:64] + bytes([27 + raw[64]]))

    def __repr__(self) -> str:
        return f"Key({prefixed(self.address)})"


def address_of(public: bytes) -> Address:
    """The EVM address of a public key in either form (33 or 65 bytes). Raises ValueError for anything else."""
    return _address_of_point(PublicKey(public).format(compressed=False))


@lru_cache(maxsize=4096)
def _address_of_point(point: bytes) -> Address:
    """The address of a point of the curve, 65 bytes, remembered: a hash costs a tenth of a signature."""
    return Address(keccak(point[1:])[12:])


def peer_id_of(public: bytes) -> PeerId:
    """The libp2p id of a compressed public key. Source: libp2p peer-ids specification."""
    return PeerId(base58.b58encode(_PEER_PREFIX + public).decode())


def address_of_peer(peer: str) -> Address:
    """The EVM address inside a secp256k1 peer id; raises `InvalidSignature` for any other kind of id."""
    try:
        raw = base58.b58decode(peer)
        if len(raw) != 39 or not raw.startswith(_PEER_PREFIX):
            raise ValueError("not the identity multihash of a secp256k1 key")
        if base58.b58encode(raw).decode() != peer:  # the decoder passes over white space at the end
            raise ValueError("not written in the one way")
        return address_of(raw[len(_PEER_PREFIX) :])
    except ValueError as error:
        raise InvalidSignature(
            f"peer id {peer[:80]!r} holds no secp256k1 key: {error}", evidence={"peer": peer[:80]}
        ) from error


def recover(digest: Digest, signature: bytes) -> Address:
    """Who signed `digest`. Raises `InvalidSignature` for every form but the one canonical form."""
    # (1) the signature is 65 bytes
    if len(signature) != 65:
        raise InvalidSignature(
            f"the signature has {len(signature)} bytes, not 65", check=1, evidence={"signature": signature}
        )
    # (2) v is 27 or 28
    if signature[64] not in (27, 28):
        raise InvalidSignature(
            f"the signature's v is {signature[64]}, not 27 or 28", check=2, evidence={"signature": signature}
        )
    # (3) s is in the lower half of the order, so that nobody can write the same signature in a second way
    if int.from_bytes(signature[32:64], "big") > _HALF_ORDER:
        raise InvalidSignature("the signature's s is high", check=3, evidence={"signature": signature})
    # (4) it is a signature at all
    try:
        point = PublicKey.from_signature_and_message(signature[:64] + bytes([signature[64] - 27]), digest, hasher=None)
    except Exception as error:  # coincurve raises bare Exception from libsecp256k1
        raise InvalidSignature("the signature belongs to no key", check=4, evidence={"signature": signature}) from error
    return _address_of_point(point.format(compressed=False))


def check_signed_by(digest: Digest, signature: bytes, expected: Address) -> None:
    """Raise `InvalidSignature` unless `expected` signed `digest`."""
    actual = recover(digest, signature)
    # (5) it is the signature of whom it should be
    if actual != expected:
        raise InvalidSignature(
            f"signed by {prefixed(actual)}, not by {prefixed(expected)}",
            check=5,
            evidence={"digest": digest, "signature": signature, "expected": expected, "actual": actual},
        )
