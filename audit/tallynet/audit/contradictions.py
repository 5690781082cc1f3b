"""(6) Two bundles against each other: what one node said in both, and whether it can be true together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tallynet.audit.evidence import Suspect, find_fork, find_pair, promise_of
from tallynet.protocol.bundle import Bundle
from tallynet.protocol.checkpoint import SignedCheckpoint
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.fault import Fault
from tallynet.protocol.note import read_checkpoint_note
from tallynet.protocol.units import prefixed


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two bundles say together."""

    fault: Fault | None
    domain: Domain
    compared: tuple[str, ...]
    """What was held against each other, in plain words; empty when the bundles have nothing in common."""
    unsettled: str
    """What the two files alone cannot settle; empty when there is nothing of the kind."""


def compare_bundles(one: Bundle, other: Bundle) -> Comparison:
    """Find the contradiction between two bundles, if there is one.

    Raises `InvalidReceipt` and `InvalidCheckpoint` for what the node did not sign.
    """
    if one.domain != other.domain:
        return Comparison(None, one.domain, (), "they are of two chains or contracts")
    if one.node != other.node:
        return Comparison(
            None, one.domain, (), f"they are of two nodes, {prefixed(one.node)} and {prefixed(other.node)}"
        )
    suspect = Suspect(one.node, one.domain)
    promises = [promise_of(bundle.receipt) for bundle in (one, other)]
    checkpoints = list(_checkpoints(suspect, (one, other)))
    fault = find_pair(suspect, promises) or find_fork(suspect, checkpoints)
    first, second = (promise.receipt for promise in promises)
    compared = [
        f"two receipts: job {first.job.hex()[:8]}… at {first.index}, job {second.job.hex()[:8]}… at {second.index}"
    ]
    sizes = [signed.checkpoint.size for signed in checkpoints]
    if len(sizes) == 2:
        compared.append(f"two checkpoints: of {sizes[0]} and of {sizes[1]} entries")
    return Comparison(fault, one.domain, tuple(compared), _unsettled(sizes))


def _checkpoints(suspect: Suspect, bundles: Sequence[Bundle]) -> Iterator[SignedCheckpoint]:
    for bundle in bundles:
        if bundle.inclusion is not None:
            yield read_checkpoint_note(bundle.inclusion.proof.checkpoint, suspect.domain, suspect.node)


def _unsettled(sizes: Sequence[int]) -> str:
    if len(sizes) < 2:
        return "not both are anchored, so their logs were not compared"
    if sizes[0] != sizes[1]:
        return "whether the smaller log is the beginning of the larger one: `tallynet audit watch` asks the node"
    return ""
