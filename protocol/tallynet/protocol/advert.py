"""(2) An advert: what a node offers right now, signed, with an end. A restart supersedes what came before.

Source: spec chapter 2, "Adverts".
"""

from typing import Annotated

from msgspec import Meta, Struct

from tallynet.protocol import eip712
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import InvalidAdvert, InvalidSignature
from tallynet.protocol.job import Bytes32, Bytes65, Task
from tallynet.protocol.keys import Key, address_of_peer, check_signed_by
from tallynet.protocol.receipt import MAX_LOG_SIZE
from tallynet.protocol.units import Address, Digest, Milliseconds, ModelId, PeerId, Signature, Wei

MAX_OFFERS = 64
MAX_ADDRESSES = 16
MAX_TTL_MS = 15 * 60 * 1000
"""Longest time an advert may ask to be believed."""
MAX_CLOCK_SKEW_MS = 60 * 1000

OFFER_TYPE = (
    b"Offer(bytes32 model,string name,uint32 contextLength,uint64 promptPrice,uint64 completionPrice,"
    b"uint32 tokensPerSecond,uint32 slots,uint32 freeSlots,uint32 waiting,string evidence,uint8 task)"
)
ADVERT_TYPE = (
    b"Advert(string peer,string[] addresses,uint64 incarnation,uint64 issued,uint64 expires,uint64 logSize,"
    b"Offer[] offers)"
)
_OFFER_HASH = eip712.keccak(OFFER_TYPE)
_ADVERT_HASH = eip712.keccak(ADVERT_TYPE + OFFER_TYPE)

_NAME = r"\A[^\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]{1,128}\Z"
"""No control characters, no line ends, nothing that turns the direction of writing: it is shown to people."""
_PLAIN = r"\A[!-~]*\Z"
"""ASCII without white space and control characters."""

_Count = Annotated[int, Meta(ge=0, lt=2**32)]
_Price = Annotated[Wei, Meta(ge=0, lt=2**53)]
_Time = Annotated[Milliseconds, Meta(ge=0, lt=2**53)]


class Offer(Struct, frozen=True, forbid_unknown_fields=True):
    """One model a node serves."""

    model: Annotated[ModelId, Bytes32]
    name: Annotated[str, Meta(pattern=_NAME)]
    """What people call it; a claim of the node, only `model` binds."""
    context_length: _Count
    """Tokens of prompt and answer together."""
    prompt_price: _Price
    """Wei per prompt token."""
    completion_price: _Price
    """Wei per answered token."""
    tokens_per_second: _Count
    """Measured decode speed of one answer, rounded."""
    slots: _Count
    """Answers that run at the same time."""
    free_slots: _Count
    waiting: _Count
    """Jobs accepted and not begun."""
    evidence: Annotated[str, Meta(max_length=32, pattern=_PLAIN)]
    """`replayable` or `signature-only`."""
    task: Annotated[int, Meta(ge=0, lt=256)] = Task.GENERATE
    """What the model does: a number of `job.Task`."""

    @property
    def struct_hash(self) -> Digest:
        return eip712.struct(
            _OFFER_HASH,
            self.model,
            eip712.string(self.name),
            eip712.uint(self.context_length),
            eip712.uint(self.prompt_price),
            eip712.uint(self.completion_price),
            eip712.uint(self.tokens_per_second),
            eip712.uint(self.slots),
            eip712.uint(self.free_slots),
            eip712.uint(self.waiting),
            eip712.string(self.evidence),
            eip712.uint(self.task),
        )

    def price(self, prompt_tokens: int, completion_tokens: int, task: int = Task.GENERATE) -> Wei:
        """What a job of this size costs. Tokens that are scored are read, not written: prompt tokens too."""
        each = self.prompt_price if task == Task.SCORE else self.completion_price
        return Wei(prompt_tokens * self.prompt_price + completion_tokens * each)


class Advert(Struct, frozen=True, forbid_unknown_fields=True):
    """Everything a node offers. No offers means that it is leaving."""

    peer: Annotated[PeerId, Meta(min_length=1, max_length=128)]
    addresses: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=256, pattern=_PLAIN)], ...],
        Meta(max_length=MAX_ADDRESSES),
    ]
    """Multiaddrs without `/p2p/`."""
    incarnation: _Time
    """When the node started; a later start replaces everything said before it."""
    issued: _Time
    """Orders the adverts of one incarnation."""
    expires: _Time
    log_size: Annotated[int, Meta(ge=0, lt=MAX_LOG_SIZE)]
    """Entries in the node's log. A node that meets a larger number of its own is an old copy, and stops."""
    offers: Annotated[tuple[Offer, ...], Meta(max_length=MAX_OFFERS)]

    def digest(self, domain: Domain) -> Digest:
        return domain.digest(
            eip712.struct(
                _ADVERT_HASH,
                eip712.string(self.peer),
                eip712.array(eip712.string(address) for address in self.addresses),
                eip712.uint(self.incarnation),
                eip712.uint(self.issued),
                eip712.uint(self.expires),
                eip712.uint(self.log_size),
                eip712.array(offer.struct_hash for offer in self.offers),
            )
        )

    def offer(self, model: ModelId) -> Offer | None:
        """The offer of one model, if there is one."""
        return next((offer for offer in self.offers if offer.model == model), None)


class SignedAdvert(Struct, frozen=True, forbid_unknown_fields=True):
    advert: Advert
    signature: Annotated[Signature, Bytes65]


class VerifiedAdvert(Struct, frozen=True):
    """An advert that its own peer signed and that was in force when it was checked."""

    advert: Advert
    node: Address
    signed: SignedAdvert

    def supersedes(self, other: "VerifiedAdvert") -> bool:
        """Whether this one replaces `other` of the same node."""
        return (self.advert.incarnation, self.advert.issued) > (other.advert.incarnation, other.advert.issued)


def sign_advert(advert: Advert, domain: Domain, key: Key) -> SignedAdvert:
    return SignedAdvert(advert, key.sign(advert.digest(domain)))


def verify_advert(signed: SignedAdvert, domain: Domain, now: Milliseconds) -> VerifiedAdvert:
    """Check an advert at time `now`. Raises `InvalidAdvert`."""
    advert = signed.advert
    # (1) it is in force: begun, not over, and not for longer than is allowed
    if not advert.issued - MAX_CLOCK_SKEW_MS <= now < advert.expires <= advert.issued + MAX_TTL_MS:
        raise InvalidAdvert(f"the advert of {advert.issued} to {advert.expires} is not in force at {now}", check=1)
    # (2) it was issued in its own incarnation
    if advert.incarnation > advert.issued:
        raise InvalidAdvert(
            f"the advert of {advert.issued} is older than its incarnation {advert.incarnation}", check=2
        )
    return VerifiedAdvert(advert, advert_signer(signed, domain), signed)


def advert_signer(signed: SignedAdvert, domain: Domain) -> Address:
    """Check (3) alone, of an advert that may be over: the node that once said this. Raises `InvalidAdvert`."""
    # (3) the peer that it speaks of signed it
    try:
        node = address_of_peer(signed.advert.peer)
        check_signed_by(signed.advert.digest(domain), signed.signature, node)
    except InvalidSignature as error:
        raise InvalidAdvert(
            f"the advert is not signed by its peer: {error.message}", check=3, evidence=error.evidence
        ) from error
    return node
