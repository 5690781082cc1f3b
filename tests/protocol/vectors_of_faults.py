"""Vectors of evidence against a node: what convicts it, and what does not."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from tallynet.protocol.fault import AnchoredAt, Fault, Fork, NotAPrefix, TwoPromises, Witness, WrongLeaf
from tallynet.protocol.units import ZERO_DIGEST, Digest, Seconds, Signature
from tests.protocol.examples import DOMAIN, NODE, STRANGER
from tests.protocol.faults import FORKED, LOG, SIZE, Signer, witness
from tests.protocol.json_form import write

COVERED, TODAY = 1_767_229_200, 1_767_232_800
"""When the head was anchored, and when the contract judges."""


def faults() -> dict[str, Any]:
    known, young = witness(COVERED, TODAY), Witness(0, ZERO_DIGEST, Seconds(TODAY), (), complete=True)
    signer = Signer(NODE, DOMAIN)
    valid: list[tuple[str, Fault, Witness]] = [
        (name, fault, known) for name, (_, fault) in signer.faults(COVERED, TODAY).items()
    ]
    valid.append(("a fork of a node that never anchored", signer.fork(), young))
    kinds = {name: int(kind) for name, (kind, _) in signer.faults(COVERED, TODAY).items()}
    return {
        "domain": {"chain_id": DOMAIN.chain_id, "contract": write(DOMAIN.contract)},
        "valid": [
            {"reason": name, "fault": fault_fields(fault), "witness": witness_fields(seen), "kind": kinds.get(name, 4)}
            for name, fault, seen in valid
        ],
        "invalid": [
            {
                "fault": fault_fields(fault),
                "witness": witness_fields(seen),
                "error": "invalid-evidence",
                "check": check,
                "reason": reason,
                "says": says,
            }
            for check, says, fault, reason, seen in bad_evidence(signer, known, young)
        ],
    }


def bad_evidence(signer: Signer, known: Witness, young: Witness) -> Sequence[tuple[int, str, Fault, str, Witness]]:
    """Check, the contract's words, evidence, what is wrong with it, what the contract knows."""
    return (
        *late(signer, known),
        *leaves(signer.wrong_leaf(TODAY), signer, known, young),
        *pairs(signer.one_index_twice(TODAY), signer, known),
        *forks(signer.fork(), signer, known),
        *prefixes(signer.not_a_prefix(), signer, known, young),
    )


def late(signer: Signer, known: Witness) -> Sequence[tuple[int, str, Fault, str, Witness]]:
    overdue = signer.never_anchored(TODAY - 1)
    signature = overdue.promise.signature
    stranger = Signer(STRANGER, DOMAIN).never_anchored(TODAY - 1)
    forgotten = Witness(SIZE, LOG.root(SIZE), Seconds(TODAY), (AnchoredAt(SIZE, Seconds(COVERED)),), complete=False)

    def signed(wrong: bytes) -> Fault:
        return replace(overdue, promise=replace(overdue.promise, signature=Signature(wrong)))

    return (
        (1, "signature is not 65 bytes", signed(signature[:64]), "a byte short", known),
        (1, "signature has a wrong v", signed(signature[:64] + b"\x01"), "v of 1", known),
        (1, "signature has a high s", signed(high_s(signature)), "the same signature in its second form", known),
        (1, "signature is not the node's", replace(overdue, promise=stranger.promise), "another's promise", known),
        (2, "receipt is not late", signer.never_anchored(TODAY), "due in this very second", known),
        (2, "receipt is not late", signer.anchored_late(COVERED), "covered in its last second", known),
        (2, "receipt is not late", signer.anchored_late(COVERED - 1), "covered before the ring can tell", forgotten),
    )


def high_s(signature: bytes) -> bytes:
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    s = order - int.from_bytes(signature[32:64], "big")
    return signature[:32] + s.to_bytes(32, "big") + bytes([55 - signature[64]])


def leaves(
    fault: WrongLeaf, signer: Signer, known: Witness, young: Witness
) -> Sequence[tuple[int, str, Fault, str, Witness]]:
    kept = replace(fault, promise=signer.promise(5, LOG.leaf(5), TODAY))
    return (
        (3, "leaf is the promised one", kept, "the promise was kept", known),
        (3, "index is not anchored", fault, "nothing is anchored", young),
        (3, "leaf is not at the index", replace(fault, leaf_hash=LOG.leaf(6)), "the leaf after it", known),
        (3, "leaf is not at the index", replace(fault, path=fault.path[:-1]), "a hash short", known),
    )


def pairs(fault: TwoPromises, signer: Signer, known: Witness) -> Sequence[tuple[int, str, Fault, str, Witness]]:
    says = "receipts do not contradict each other"
    elsewhere = signer.promise(6, FORKED.leaf(5), TODAY, "another job")
    return (
        (4, says, replace(fault, second=fault.first), "one receipt twice", known),
        (4, says, replace(fault, second=elsewhere), "two jobs in two places", known),
    )


def forks(fault: Fork, signer: Signer, known: Witness) -> Sequence[tuple[int, str, Fault, str, Witness]]:
    says = "checkpoints do not contradict each other"
    larger, empty = signer.checkpoint(12, FORKED.root(12)), signer.checkpoint(0, Digest(LOG.root(0)))
    stranger = Signer(STRANGER, DOMAIN).fork()
    return (
        (5, "size is zero", replace(fault, second=empty), "an empty log", known),
        (5, "signature is not the node's", replace(fault, second=stranger.second), "another's checkpoint", known),
        (6, says, replace(fault, second=fault.first), "one checkpoint twice", known),
        (6, says, replace(fault, second=larger), "two sizes", known),
    )


def prefixes(
    fault: NotAPrefix, signer: Signer, known: Witness, young: Witness
) -> Sequence[tuple[int, str, Fault, str, Witness]]:
    true = replace(fault, checkpoint=signer.checkpoint(11, LOG.root(11)))
    return (
        (7, "checkpoint is larger than the head", fault, "nothing is anchored", young),
        (7, "checkpoint is a prefix of the head", true, "a true checkpoint", known),
        (7, "proof does not lead to the head", replace(fault, true_root=LOG.root(10)), "another true root", known),
        (7, "proof does not lead to the head", replace(fault, path=fault.path[::-1]), "a path turned round", known),
    )


def fault_fields(fault: Fault) -> dict[str, Any]:
    return {"kind": fault.__struct_config__.tag, **write(fault)}


def witness_fields(seen: Witness) -> dict[str, Any]:
    ring = [{"size": anchor.size, "time": anchor.time} for anchor in seen.ring]
    return {"size": seen.size, "root": write(seen.root), "now": seen.now, "ring": ring, "complete": seen.complete}
