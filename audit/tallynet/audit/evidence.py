"""(6) Evidence against a node: found in what it signed and shows, confirmed by the contract's own rules.

Every `find_…` returns a fault that `fault.check_fault` confirms, or None where nothing is wrong. What does not hold
by itself is raised: a signature that is not the node's, a proof that leads nowhere. Source: spec chapter 6.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from tallynet.console.moments import moment
from tallynet.protocol import merkle
from tallynet.protocol.checkpoint import SignedCheckpoint, verify_checkpoint
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import InvalidEvidence, InvalidReceipt, InvalidSignature
from tallynet.protocol.fault import (
    Fault,
    Fork,
    LateAnchor,
    NotAPrefix,
    SignedPromise,
    TwoPromises,
    Witness,
    WrongLeaf,
    check_fault,
)
from tallynet.protocol.keys import check_signed_by
from tallynet.protocol.receipt import SignedReceipt
from tallynet.protocol.units import ZERO_DIGEST, Address, Digest, JobId, Seconds, prefixed, short

NOTHING_ANCHORED = Witness(0, ZERO_DIGEST, Seconds(0), (), True)
"""For faults that need no word of the chain: two promises, a fork."""


class Log(Protocol):
    """A node's log as `LogReader` reads it; not believed."""

    async def entries(self, start: int, count: int) -> Sequence[bytes]: ...

    async def inclusion(self, index: int, size: int) -> Sequence[Digest]: ...

    async def consistency(self, old: int, new: int) -> Sequence[Digest]: ...


@dataclass(frozen=True, slots=True)
class Suspect:
    """Whose word is held against it: one node, on one chain and contract."""

    node: Address
    domain: Domain


def promise_of(signed: SignedReceipt) -> SignedPromise:
    """A receipt without its leaf."""
    return SignedPromise(signed.receipt, signed.signature)


def find_pair(suspect: Suspect, receipts: Iterable[SignedPromise]) -> TwoPromises | None:
    """The first two receipts that promise two leaves one index, or one job two places.

    Raises `InvalidReceipt` for one that the node did not sign.
    """
    by_index: dict[int, SignedPromise] = {}
    by_job: dict[JobId, SignedPromise] = {}
    for promise in receipts:
        _check_promise(suspect, promise)
        one = by_index.setdefault(promise.receipt.index, promise)
        other = by_job.setdefault(promise.receipt.job, promise)
        for earlier in (one, other):
            fault = TwoPromises(node=suspect.node, first=earlier, second=promise)
            if earlier is not promise and _confirmed(
                suspect, fault, NOTHING_ANCHORED, "receipts do not contradict each other"
            ):
                return fault
    return None


def find_fork(suspect: Suspect, checkpoints: Iterable[SignedCheckpoint]) -> Fork | None:
    """The first two checkpoints of one size with two roots.

    Raises `InvalidCheckpoint` for one that the node did not sign.
    """
    by_size: dict[int, SignedCheckpoint] = {}
    for signed in checkpoints:
        if verify_checkpoint(signed, suspect.domain, suspect.node).size == 0:
            continue
        earlier = by_size.setdefault(signed.checkpoint.size, signed)
        fault = Fork(node=suspect.node, first=earlier, second=signed)
        if _confirmed(suspect, fault, NOTHING_ANCHORED, "checkpoints do not contradict each other"):
            return fault
    return None


def find_late(suspect: Suspect, promise: SignedPromise, witness: Witness) -> LateAnchor | None:
    """That the entry was not anchored in time, as far as the contract's ring still tells.

    Raises `InvalidEvidence` for a receipt that the node did not sign.
    """
    fault = LateAnchor(node=suspect.node, promise=promise)
    return fault if _confirmed(suspect, fault, witness, "receipt is not late") else None


async def find_wrong_leaf(suspect: Suspect, promise: SignedPromise, log: Log, witness: Witness) -> WrongLeaf | None:
    """That another leaf stands at the promised index; None too while that is not anchored.

    Raises `InvalidProof` when what the node shows is not in the anchored log, and what `log` raises: then the entry
    is withheld. Raises `InvalidEvidence` for a receipt that the node did not sign.
    """
    index = promise.receipt.index
    if index >= witness.size:
        return None
    found, path = await proven_leaf(index, log, witness)
    fault = WrongLeaf(node=suspect.node, promise=promise, leaf_hash=found, path=path)
    return fault if _confirmed(suspect, fault, witness, "leaf is the promised one") else None


async def find_not_a_prefix(
    suspect: Suspect, signed: SignedCheckpoint, log: Log, witness: Witness
) -> NotAPrefix | None:
    """That a checkpoint is not the beginning of the anchored log; None too while it is larger than that.

    The true root comes from the node's own proofs that lead to the anchored head; nothing else is believed of them.
    Raises `InvalidProof` for proofs that do not, what `log` raises, and `InvalidCheckpoint` for a checkpoint that the
    node did not sign.
    """
    size = verify_checkpoint(signed, suspect.domain, suspect.node).size
    if not 0 < size <= witness.size:
        return None
    true_root = await _root_at(size, log, witness)
    if true_root == signed.checkpoint.root:
        return None
    path = tuple(await log.consistency(size, witness.size)) if size < witness.size else ()
    merkle.verify_consistency(size, true_root, witness.size, witness.root, path)
    fault = NotAPrefix(node=suspect.node, checkpoint=signed, true_root=true_root, path=path)
    check_fault(fault, suspect.domain, witness)
    return fault


async def renew(suspect: Suspect, fault: Fault, log: Log, witness: Witness) -> Fault | None:
    """The same fault with a proof to the present anchored head: it may have grown since the evidence was written.

    None when the fault is not there. Raises as the finders do.
    """
    if isinstance(fault, WrongLeaf):
        return await find_wrong_leaf(suspect, fault.promise, log, witness)
    if isinstance(fault, NotAPrefix):
        return await find_not_a_prefix(suspect, fault.checkpoint, log, witness)
    return fault


STALE = frozenset({"leaf is not at the index", "proof does not lead to the head"})
"""What the contract says of evidence whose proof leads to another head than the present one."""


def describe_fault(fault: Fault) -> str:
    """One sentence in plain words, with the two things that contradict each other."""
    node = prefixed(fault.node)
    match fault:
        case LateAnchor(promise=promise):
            receipt = promise.receipt
            return (
                f"Node {node} promised to anchor entry {receipt.index} by {moment(receipt.anchor_by)} and did not "
                "do so in time."
            )
        case WrongLeaf(promise=promise, leaf_hash=found):
            receipt = promise.receipt
            return (
                f"Node {node} promised leaf {short(receipt.leaf)} for entry {receipt.index}, and its anchored log "
                f"has {short(found)} there."
            )
        case TwoPromises(first=first, second=second):
            one, other = first.receipt, second.receipt
            if one.job == other.job:
                return f"Node {node} promised job {short(one.job)} two places: entry {one.index} and {other.index}."
            return f"Node {node} promised entry {one.index} to two jobs: {short(one.job)} and {short(other.job)}."
        case Fork(first=first, second=second):
            roots = short(first.checkpoint.root), short(second.checkpoint.root)
            size = first.checkpoint.size
            return f"Node {node} signed two logs of {size} entries: one with root {roots[0]}, one with {roots[1]}."
        case NotAPrefix(checkpoint=signed, true_root=true_root):
            said = signed.checkpoint
            return (
                f"Node {node} signed a log of {said.size} entries with root {short(said.root)}; the log that it "
                f"anchored begins with {short(true_root)}."
            )


def fault_key(fault: Fault) -> str:
    """The fault in a few words fit for a file name: `late-17`, `fork-1024`; the same for the same fault."""
    match fault:
        case LateAnchor(promise=promise):
            return f"late-{promise.receipt.index}-{promise.receipt.job.hex()[:8]}"
        case WrongLeaf(promise=promise):
            return f"leaf-{promise.receipt.index}-{promise.receipt.job.hex()[:8]}"
        case TwoPromises(first=first, second=second):
            return f"pair-{first.receipt.index}-{second.receipt.index}-{second.receipt.job.hex()[:8]}"
        case Fork(first=first):
            return f"fork-{first.checkpoint.size}"
        case NotAPrefix(checkpoint=signed):
            return f"prefix-{signed.checkpoint.size}-{signed.checkpoint.root.hex()[:8]}"


async def proven_leaf(index: int, log: Log, witness: Witness) -> tuple[Digest, tuple[Digest, ...]]:
    """The hash of the leaf at `index` of the anchored log, with its path. Raises `InvalidProof`."""
    entries = await log.entries(index, 1)
    path = tuple(await log.inclusion(index, witness.size))
    found = merkle.leaf_hash(entries[0] if entries else b"")
    merkle.verify_inclusion(found, index, witness.size, path, witness.root)
    return found, path


async def _root_at(size: int, log: Log, witness: Witness) -> Digest:
    """Root of the first `size` entries of the anchored log. Raises `InvalidProof`."""
    if size == witness.size:
        return witness.root
    found, path = await proven_leaf(size - 1, log, witness)
    return merkle.prefix_root(found, size - 1, witness.size, path)


def _check_promise(suspect: Suspect, promise: SignedPromise) -> None:
    try:
        check_signed_by(promise.receipt.digest(suspect.domain), promise.signature, suspect.node)
    except InvalidSignature as error:
        raise InvalidReceipt(
            f"the receipt for entry {promise.receipt.index} is not signed by node {prefixed(suspect.node)}: "
            f"{error.message}",
            evidence=error.evidence,
        ) from error


def _confirmed(suspect: Suspect, fault: Fault, witness: Witness, innocent: str) -> bool:
    """Whether the contract would slash; no only for the reason `innocent`, anything else is raised."""
    try:
        check_fault(fault, suspect.domain, witness)
    except InvalidEvidence as error:
        if error.reason != innocent:
            raise
        return False
    return True
