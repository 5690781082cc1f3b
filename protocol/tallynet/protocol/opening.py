"""(6) An opening on request: what the auditor who drew a run asks of its node, and what comes back, sealed to it.

What comes back is the bundle of the run, whole, in parts that fit a frame. A job without consent is never opened; that
it has none can be seen from its id alone. Source: spec chapter 6, "Openings on request".
"""

from collections.abc import Iterator, Sequence
from typing import Annotated

from msgspec import Meta, Struct

from tallynet.protocol import eip712
from tallynet.protocol.bundle import MAX_BUNDLE_BYTES
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import InvalidOpening, InvalidSignature
from tallynet.protocol.job import CONSENT_WORD, JOB_WORDS, Bytes20, Bytes32, Bytes65, id_of_words
from tallynet.protocol.keys import Key, check_signed_by
from tallynet.protocol.receipt import MAX_LOG_SIZE
from tallynet.protocol.sealing import SEAL_BYTES, SealKey, seal
from tallynet.protocol.units import Address, Digest, JobId, Signature, short

PART_BYTES = 256 * 1024
"""Of a bundle, in one answer."""
MAX_PARTS = MAX_BUNDLE_BYTES // PART_BYTES
MAX_SEALED_BYTES = PART_BYTES + SEAL_BYTES
MIN_KEPT_SECONDS = 24 * 3600
"""An opening is kept at least so long after the first anchor that covers its run."""

OPENING_TYPE = (
    b"OpeningRequest(address auditor,address node,bytes32 job,uint64 index,uint64 size,bytes32 blockHash,"
    b"bytes32 sealKey)"
)
_OPENING_HASH = eip712.keccak(OPENING_TYPE)


class OpeningRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """What an auditor signs when it asks for one run."""

    auditor: Annotated[Address, Bytes20]
    node: Annotated[Address, Bytes20]
    job: Annotated[JobId, Bytes32]
    index: Annotated[int, Meta(ge=0, lt=MAX_LOG_SIZE)]
    """Where the log has it."""
    size: Annotated[int, Meta(ge=1, lt=MAX_LOG_SIZE)]
    """Of the anchored log that was drawn from."""
    block_hash: Annotated[Digest, Bytes32]
    """Of the block that drew."""
    seal_key: Annotated[bytes, Bytes32]
    """X25519 public key, fresh for every audit."""

    def digest(self, domain: Domain) -> Digest:
        return domain.digest(
            eip712.struct(
                _OPENING_HASH,
                eip712.address(self.auditor),
                eip712.address(self.node),
                self.job,
                eip712.uint(self.index),
                eip712.uint(self.size),
                self.block_hash,
                self.seal_key,
            )
        )


class SignedOpeningRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """An auditor's question as it travels: nothing in it has been checked yet."""

    request: OpeningRequest
    signature: Annotated[Signature, Bytes65]


def sign_opening_request(request: OpeningRequest, domain: Domain, key: Key) -> SignedOpeningRequest:
    """Raises ValueError when `key` is not the auditor's."""
    if key.address != request.auditor:
        raise ValueError("a request for an opening is signed by its auditor")
    return SignedOpeningRequest(request, key.sign(request.digest(domain)))


def verify_opening_request(signed: SignedOpeningRequest, domain: Domain, node: Address) -> OpeningRequest:
    """The question, if its auditor asked it of this node. Raises `InvalidOpening`."""
    # (1) the auditor signed the question, for this node, chain and contract
    try:
        check_signed_by(signed.request.digest(domain), signed.signature, signed.request.auditor)
    except InvalidSignature as error:
        raise InvalidOpening(
            f"the question is not signed by its auditor for this chain and contract: {error.message}", check=1
        ) from error
    if signed.request.node != node:
        raise InvalidOpening(f"the question is for node {short(signed.request.node)}, not {short(node)}", check=1)
    return signed.request


def part_count(bundle: bytes) -> int:
    """In how many parts a bundle is given."""
    return max(1, -(-len(bundle) // PART_BYTES))


def seal_part(
    bundle: bytes, part: int, request: OpeningRequest, domain: Domain, ephemeral: bytes | None = None
) -> bytes:
    """Part number `part` of a bundle for whoever asked; `ephemeral` as for `seal`. Raises `InvalidOpening`."""
    count = part_count(bundle)
    # (2) there is such a part
    if part >= count:
        raise InvalidOpening(f"part {part} is asked for, there are {count}", check=2)
    piece = bundle[part * PART_BYTES : (part + 1) * PART_BYTES]
    return seal(piece, request.seal_key, _context(request, domain, part, count), ephemeral)


def open_parts(parts: Sequence[bytes], request: OpeningRequest, domain: Domain, key: SealKey) -> bytes:
    """The bundle out of all its sealed parts, in order. Raises `InvalidOpening`."""
    return b"".join(_opened(parts, request, domain, key))


def _opened(parts: Sequence[bytes], request: OpeningRequest, domain: Domain, key: SealKey) -> Iterator[bytes]:
    for number, sealed in enumerate(parts):
        yield key.open(sealed, _context(request, domain, number, len(parts)))


def _context(request: OpeningRequest, domain: Domain, part: int, parts: int) -> bytes:
    """What a part is sealed for: this question, this place."""
    return request.digest(domain) + part.to_bytes(2, "big") + parts.to_bytes(2, "big")


def check_no_consent(words: Sequence[bytes], job: JobId, domain: Domain) -> None:
    """Whether these are the words of the job, and it gives no consent. Raises `InvalidOpening`."""
    # (3) the words are those of the job
    if len(words) != JOB_WORDS or (found := id_of_words(words, domain)) != job:
        told = f"of job {short(found)}" if len(words) == JOB_WORDS else f"{len(words)} in number"
        raise InvalidOpening(f"the words shown are {told}, not those of job {short(job)}", check=3)
    # (4) the job gives no consent to be audited
    if words[CONSENT_WORD] != eip712.uint(0):
        raise InvalidOpening(f"job {short(job)} gives its consent", check=4)
