"""(5) The note key: an Ed25519 key beside the node's own, for readers of signed notes who know no chain.

It is made from the node's secret, so there is nothing more to keep. What binds the two is a statement signed by the
node, `NoteKey(bytes32 key)`. Formats: C2SP signed-note, "Verifier keys". Source: spec chapter 5, "Tile log".
"""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import Annotated, Protocol, Self

from cryptography.exceptions import InvalidSignature as BadSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import Struct

from tallynet.protocol import eip712
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import InvalidCheckpoint, InvalidSignature
from tallynet.protocol.job import Bytes32
from tallynet.protocol.keys import Key
from tallynet.protocol.units import Address, Digest, prefixed, printable

NOTE_KEY_INFO = b"tallynet/note-key/1"
NOTE_KEY_TYPE = b"NoteKey(bytes32 key)"
_NOTE_KEY_HASH = eip712.keccak(NOTE_KEY_TYPE)

ED25519 = b"\x01"
"""C2SP signature type of Ed25519."""
ED25519_SIGNATURE_BYTES = 64

_VKEY = re.compile(r"([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+=*)")
_ORIGIN = re.compile(r"tallynet/([1-9][0-9]{0,19})/0x([0-9a-f]{40})/0x([0-9a-f]{40})")


class NoteKey:
    """The private half. Its repr shows the public one only."""

    def __init__(self, seed: bytes) -> None:
        """`seed` is the 32 bytes of RFC 8032."""
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self._private.public_key().public_bytes_raw()

    @classmethod
    def of(cls, key: Key) -> Self:
        """The note key of a node: HKDF-SHA256 of its secret, without salt."""
        return cls(HKDF(SHA256(), 32, salt=None, info=NOTE_KEY_INFO).derive(key.secret))

    def sign(self, text: bytes) -> bytes:
        """64 bytes, RFC 8032."""
        return self._private.sign(text)

    def __repr__(self) -> str:
        return f"NoteKey({prefixed(self.public)})"


class NoteKeyStatement(Struct, frozen=True):
    """What the node signs so that its note key counts as its own."""

    key: Annotated[bytes, Bytes32]
    """The Ed25519 public key."""

    def digest(self, domain: Domain) -> Digest:
        return domain.digest(eip712.struct(_NOTE_KEY_HASH, self.key))


class NoteVerifier(Protocol):
    """A key that a reader of notes knows."""

    @property
    def name(self) -> str: ...

    @property
    def key_id(self) -> bytes:
        """4 bytes; with the name it says whose signature a line is, and by which algorithm."""
        ...

    def check(self, text: bytes, signature: bytes) -> None:
        """Raises `InvalidSignature` unless the key signed the note's text."""
        ...


@dataclass(frozen=True, slots=True)
class Ed25519Verifier:
    """A public note key with its name: C2SP's `vkey`."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        return key_id(self.name, ED25519 + self.public)

    @property
    def vkey(self) -> str:
        """`<name>+<key id>+<base64>`, as tools for transparency logs take it."""
        return f"{self.name}+{self.key_id.hex()}+{encode_base64(ED25519 + self.public)}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a vkey; raises `InvalidCheckpoint` for what is none, and for other algorithms."""
        found = _VKEY.fullmatch(text)
        data = decode_base64(found[3]) if found else None
        if not found or data is None or len(data) != 33 or data[:1] != ED25519:
            raise InvalidCheckpoint(f"{printable(text)!r} is no Ed25519 verifier key")
        known = cls(found[1], data[1:])
        if known.vkey != text:
            raise InvalidCheckpoint(f"the verifier key {printable(text)!r} has the id of another")
        return known

    def check(self, text: bytes, signature: bytes) -> None:
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text)
        except (BadSignature, ValueError) as error:
            raise InvalidSignature(
                f"the Ed25519 signature of {self.name} does not hold", evidence={"signature": signature}
            ) from error


def key_id(name: str, kind_and_key: bytes) -> bytes:
    """The 4 bytes that stand before a signature: of key name, signature type and public key."""
    return hashlib.sha256(name.encode() + b"\n" + kind_and_key).digest()[:4]


def log_origin(domain: Domain, node: Address) -> str:
    """The name of a node's log, and of its keys in notes."""
    return f"tallynet/{domain.chain_id}/{prefixed(domain.contract)}/{prefixed(node)}"


def read_origin(text: str) -> tuple[Domain, Address]:
    """Chain, contract and node that a log's name tells. Raises `InvalidCheckpoint` for every other text."""
    found = _ORIGIN.fullmatch(text)
    if not found or int(found[1]) >= 2**64:
        raise InvalidCheckpoint(f"{printable(text)!r} names no log of this network")
    domain = Domain(int(found[1]), Address(bytes.fromhex(found[2])))
    return domain, Address(bytes.fromhex(found[3]))


def encode_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def decode_base64(text: str) -> bytes | None:
    """The bytes, or None unless `text` is their one spelling in standard base64 with padding."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if encode_base64(data) == text else None
