"""(6) Sealing: bytes that only the holder of one key can read, and that cannot be changed on the way.

X25519 with a key that exists for one message, HKDF-SHA256, ChaCha20-Poly1305. It does NOT say who sealed: whoever
reads must know from elsewhere whom he talks to. Source: spec chapter 6, "Sealed openings"; RFC 7748, 5869, 8439.
"""

from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tallynet.protocol.errors import InvalidOpening
from tallynet.protocol.units import prefixed

SEAL_INFO = b"tallynet/sealed-opening/1"
SEAL_KEY_BYTES = 32
SEAL_BYTES = SEAL_KEY_BYTES + 16
"""What sealing adds: the key before, the tag behind."""
_NONCE = bytes(12)  # each key encrypts one message


class SealKey:
    """A private key to read what is sealed to it. Its repr shows the public one only."""

    def __init__(self, secret: bytes) -> None:
        """`secret` is the 32 bytes of RFC 7748; ValueError for another length."""
        self._private = X25519PrivateKey.from_private_bytes(secret)
        self.public = self._private.public_key().public_bytes_raw()

    @classmethod
    def generate(cls) -> Self:
        return cls(X25519PrivateKey.generate().private_bytes_raw())

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """What was sealed to this key in this context. Raises `InvalidOpening`."""
        # (1) it was sealed to this key and in this context, and is unchanged
        try:
            sender, body = sealed[:SEAL_KEY_BYTES], sealed[SEAL_KEY_BYTES:]
            cipher = _cipher(self._private, sender, sender, self.public, context)
            return cipher.decrypt(_NONCE, body, context)
        except (InvalidTag, ValueError) as error:
            raise InvalidOpening(
                f"{len(sealed)} bytes cannot be opened with the key {prefixed(self.public)}", check=1
            ) from error

    def __repr__(self) -> str:
        return f"SealKey({prefixed(self.public)})"


def seal(data: bytes, to: bytes, context: bytes, ephemeral: bytes | None = None) -> bytes:
    """`data` for the holder of the public key `to`; `context` is not sent, and has to be the same for the reader.

    `ephemeral` is the secret of the one message, random unless a test vector is made. Raises `InvalidOpening` for a
    key that nobody can hold.
    """
    private = X25519PrivateKey.from_private_bytes(ephemeral) if ephemeral else X25519PrivateKey.generate()
    public = private.public_key().public_bytes_raw()
    try:
        cipher = _cipher(private, to, public, to, context)
    except ValueError as error:
        raise InvalidOpening(f"nothing can be sealed to the key {prefixed(to)}", check=1) from error
    return public + cipher.encrypt(_NONCE, data, context)


def _cipher(mine: X25519PrivateKey, theirs: bytes, sender: bytes, reader: bytes, context: bytes) -> ChaCha20Poly1305:
    """ValueError for a point of small order, with which everybody would know the key."""
    shared = mine.exchange(X25519PublicKey.from_public_bytes(theirs))
    return ChaCha20Poly1305(HKDF(SHA256(), 32, salt=sender + reader, info=SEAL_INFO + context).derive(shared))
