"""(5) Faults: how a node broke its word, each provable with signatures and proofs alone.

Kinds 1 to 5 take one transaction and no answer from the node. Kind 6, data withheld, can only be shown by asking in
public: `challenge`, `answer`, `finalize` of the contract. The checks here are the contract's, in its order and with
its words, so that an auditor knows before it pays what the contract will say. Source: spec chapter 5.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, NoReturn

from msgspec import Meta, Struct

from tallynet.protocol import merkle
from tallynet.protocol.checkpoint import Checkpoint, SignedCheckpoint
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import InvalidEvidence, InvalidProof, InvalidSignature
from tallynet.protocol.job import Bytes20, Bytes32, Bytes65
from tallynet.protocol.keys import check_signed_by
from tallynet.protocol.receipt import MAX_LOG_SIZE, Receipt
from tallynet.protocol.units import Address, Digest, Seconds, Signature


class FaultKind(IntEnum):
    """The numbers are those of the contract's event `Slashed`."""

    LATE = 1
    """An entry was not anchored by the time that its receipt promised."""
    LEAF = 2
    """Another leaf stands at the index that a receipt promised."""
    PAIR = 3
    """Two receipts promise two leaves one index, or one job two places."""
    FORK = 4
    """Two checkpoints of one size have two roots."""
    PREFIX = 5
    """A signed checkpoint is not the beginning of the anchored log."""
    WITHHELD = 6
    """An anchored entry was asked for in public and not shown in time."""


_Path = Annotated[tuple[Annotated[Digest, Bytes32], ...], Meta(max_length=merkle.MAX_PATH)]


class SignedPromise(Struct, frozen=True, forbid_unknown_fields=True):
    """A receipt without its leaf."""

    receipt: Receipt
    signature: Annotated[Signature, Bytes65]


class _Fault(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", kw_only=True):
    node: Annotated[Address, Bytes20]
    """Who broke its word: the address that signed."""


class LateAnchor(_Fault, frozen=True, tag="late"):
    promise: SignedPromise


class WrongLeaf(_Fault, frozen=True, tag="leaf"):
    promise: SignedPromise
    leaf_hash: Annotated[Digest, Bytes32]
    """What stands at the promised index instead."""
    path: _Path
    """RFC 9162 inclusion proof of `leaf_hash` to the present anchored head."""


class TwoPromises(_Fault, frozen=True, tag="pair"):
    first: SignedPromise
    second: SignedPromise


class Fork(_Fault, frozen=True, tag="fork"):
    first: SignedCheckpoint
    second: SignedCheckpoint


class NotAPrefix(_Fault, frozen=True, tag="prefix"):
    checkpoint: SignedCheckpoint
    true_root: Annotated[Digest, Bytes32]
    """Root of the first `checkpoint.size` entries of the anchored log."""
    path: _Path
    """RFC 9162 consistency proof from (`checkpoint.size`, `true_root`) to the present anchored head; empty when the
    sizes are equal."""


Fault = LateAnchor | WrongLeaf | TwoPromises | Fork | NotAPrefix
"""What one transaction proves."""

KINDS: dict[type[_Fault], FaultKind] = {
    LateAnchor: FaultKind.LATE,
    WrongLeaf: FaultKind.LEAF,
    TwoPromises: FaultKind.PAIR,
    Fork: FaultKind.FORK,
    NotAPrefix: FaultKind.PREFIX,
}


class AnchoredAt(Struct, frozen=True):
    """One anchor as the contract remembers it."""

    size: Annotated[int, Meta(ge=1, lt=MAX_LOG_SIZE)]
    time: Seconds


@dataclass(frozen=True, slots=True)
class Witness:
    """What the contract knows of a node when it judges."""

    size: int
    root: Digest
    now: Seconds
    """Time of the block that judges."""
    ring: tuple[AnchoredAt, ...]
    """The last anchors, oldest first, the present head last; empty for a node that never anchored."""
    complete: bool
    """Whether `ring` begins with the node's very first anchor."""


def check_fault(fault: Fault, domain: Domain, witness: Witness) -> FaultKind:
    """Whether the contract would slash. Raises `InvalidEvidence`, with the contract's own words in `reason`."""
    if isinstance(fault, LateAnchor):
        _check_late(fault, domain, witness)
    elif isinstance(fault, WrongLeaf):
        _check_leaf(fault, domain, witness)
    elif isinstance(fault, TwoPromises):
        _check_pair(fault, domain)
    elif isinstance(fault, Fork):
        _check_fork(fault, domain)
    else:
        _check_prefix(fault, domain, witness)
    return KINDS[type(fault)]


def _check_late(fault: LateAnchor, domain: Domain, witness: Witness) -> None:
    _check_promise(fault.node, fault.promise, domain)
    receipt = fault.promise.receipt
    # (2) no anchor covers the entry and its time is over, or the anchor that first covered it came after its time
    covered_at = witness.now if witness.size <= receipt.index else _first_cover(receipt.index, witness)
    if covered_at is None or covered_at <= receipt.anchor_by:
        _refuse(
            2, "receipt is not late", f"entry {receipt.index} was due at {receipt.anchor_by}, covered at {covered_at}"
        )


def _first_cover(index: int, witness: Witness) -> Seconds | None:
    """When the entry was first covered; None when that was before the ring begins to tell."""
    before = 0 if witness.complete else None
    for anchor in witness.ring:
        if before is not None and before <= index < anchor.size:
            return anchor.time
        before = anchor.size
    return None


def _check_leaf(fault: WrongLeaf, domain: Domain, witness: Witness) -> None:
    _check_promise(fault.node, fault.promise, domain)
    receipt = fault.promise.receipt
    # (3) the log holds another leaf at the index than was promised
    if fault.leaf_hash == receipt.leaf:
        _refuse(3, "leaf is the promised one", f"{receipt.leaf.hex()} at index {receipt.index}")
    if receipt.index >= witness.size:
        _refuse(3, "index is not anchored", f"index {receipt.index}, anchored {witness.size}")
    with _proving(3, "leaf is not at the index"):
        merkle.verify_inclusion(fault.leaf_hash, receipt.index, witness.size, fault.path, witness.root)


def _check_pair(fault: TwoPromises, domain: Domain) -> None:
    _check_promise(fault.node, fault.first, domain)
    _check_promise(fault.node, fault.second, domain)
    one, other = fault.first.receipt, fault.second.receipt
    # (4) two leaves are promised one index, or one job two leaves or two places
    same_index, same_leaf, same_job = one.index == other.index, one.leaf == other.leaf, one.job == other.job
    if not (same_index and not same_leaf or same_job and not (same_leaf and same_index)):
        _refuse(4, "receipts do not contradict each other", f"indices {one.index} and {other.index}")


def _check_fork(fault: Fork, domain: Domain) -> None:
    _check_checkpoint(fault.node, fault.first, domain)
    _check_checkpoint(fault.node, fault.second, domain)
    one, other = fault.first.checkpoint, fault.second.checkpoint
    # (6) one size has two roots
    if one.size != other.size or one.root == other.root:
        _refuse(6, "checkpoints do not contradict each other", f"sizes {one.size} and {other.size}")


def _check_prefix(fault: NotAPrefix, domain: Domain, witness: Witness) -> None:
    _check_checkpoint(fault.node, fault.checkpoint, domain)
    signed = fault.checkpoint.checkpoint
    # (7) the anchored log begins in another way than the node signed
    if signed.size > witness.size:
        _refuse(7, "checkpoint is larger than the head", f"sizes {signed.size} and {witness.size}")
    if signed.root == fault.true_root:
        _refuse(7, "checkpoint is a prefix of the head", f"root {signed.root.hex()}")
    with _proving(7, "proof does not lead to the head"):
        merkle.verify_consistency(signed.size, fault.true_root, witness.size, witness.root, fault.path)


def _check_promise(node: Address, promise: SignedPromise, domain: Domain) -> None:
    # (1) the node signed the receipt, for this chain and contract
    with _signing(1):
        check_signed_by(promise.receipt.digest(domain), promise.signature, node)


def _check_checkpoint(node: Address, signed: SignedCheckpoint, domain: Domain) -> None:
    # (5) the node signed the checkpoint, for this chain and contract, and it is of a log that has entries
    if signed.checkpoint.size == 0:
        _refuse(5, "size is zero", "an empty log contradicts nothing")
    with _signing(5):
        check_signed_by(signed.checkpoint.digest(domain), signed.signature, node)


@contextmanager
def _signing(check: int) -> Iterator[None]:
    try:
        yield
    except InvalidSignature as error:
        reason = SIGNATURE_REASONS[error.check or 0]
        raise InvalidEvidence(error.message, reason=reason, check=check, evidence=error.evidence) from error


SIGNATURE_REASONS = {
    1: "signature is not 65 bytes",
    2: "signature has a wrong v",
    3: "signature has a high s",
    4: "signature is not the node's",
    5: "signature is not the node's",
}
"""What the contract says where a check of `keys.recover` or `check_signed_by` fails."""


@contextmanager
def _proving(check: int, reason: str) -> Iterator[None]:
    try:
        yield
    except InvalidProof as error:
        raise InvalidEvidence(error.message, reason=reason, check=check, evidence=error.evidence) from error


def _refuse(check: int, reason: str, detail: str) -> NoReturn:
    raise InvalidEvidence(f"{reason}: {detail}", reason=reason, check=check)


__all__ = [
    "AnchoredAt",
    "Checkpoint",
    "Fault",
    "FaultKind",
    "Fork",
    "SIGNATURE_REASONS",
    "LateAnchor",
    "NotAPrefix",
    "SignedPromise",
    "TwoPromises",
    "Witness",
    "WrongLeaf",
    "check_fault",
]
