"""What both ledgers ask of a call before it is made, and the words of a refusal.

The rules of the contract itself are in `contracts/ledger.vy`; `memory` repeats them one by one.
"""

from collections.abc import Sequence
from typing import Final

from tallynet.ledger.ledger import Relay, SampleBounds
from tallynet.protocol.eip712 import Domain, address, keccak, struct, uint
from tallynet.protocol.errors import InvalidProof, Refused
from tallynet.protocol.job import MILLION
from tallynet.protocol.keys import Key
from tallynet.protocol.leaf import LEAF_BYTES
from tallynet.protocol.merkle import MAX_PATH, MAX_SIZE
from tallynet.protocol.units import Address, Digest, Signature, Wei

MAX_MULTIADDR_BYTES: Final = 256

MAX_STAKE: Final = 2**128
"""A stake is below this, in wei."""

MAX_RELAYS: Final = 32
"""Anchors that one transaction posts for others."""

RING: Final = 9
"""Anchors of a node that the contract remembers, the head among them."""

MAX_CHALLENGES: Final = 16
"""Challenges that are open against one node at a time."""

REWARD_DIVISOR: Final = 10
"""A reporter gets the stake divided by this, rounded down; the rest is burnt."""

REGISTRATION_TYPE: Final = keccak(b"Registration(address operator,address node)")

RELAY_TYPE: Final = keccak(b"Anchor(uint64 size,bytes32 root)")


def consent_digest(domain: Domain, operator: Address, node: Address) -> Digest:
    """What a node signs to let `operator` stake for it."""
    return domain.digest(struct(REGISTRATION_TYPE, address(operator), address(node)))


def consent(domain: Domain, operator: Address, node: Key) -> Signature:
    """The node's agreement that `operator` registers it: nobody can stake for, or exit, another's key."""
    return node.sign(consent_digest(domain, operator, node.address))


def relay_digest(domain: Domain, size: int, root: Digest) -> Digest:
    """What a node signs to let anybody post its head. Its type is not that of a checkpoint: those are public, and
    nobody may anchor a node by them unasked."""
    return domain.digest(struct(RELAY_TYPE, uint(size), root))


def sign_relay(domain: Domain, node: Key, size: int, root: Digest, proof: Sequence[Digest]) -> Relay:
    """The node's order to post this head, for `Ledger.anchor_many`. `proof` is as for `Ledger.anchor`.

    Raises `Refused` for an anchor that does not fit the contract's parameters.
    """
    check_anchor(size, root, proof)
    return Relay(node.address, size, root, tuple(proof), node.sign(relay_digest(domain, size, root)))


def reward_of(stake: Wei) -> Wei:
    """What a reporter gets of a stake that is taken."""
    return Wei(stake // REWARD_DIVISOR)


def check_registration(stake: int, multiaddr: str) -> None:
    """Raise `Refused` for what does not fit the contract's parameters and would revert there without a reason."""
    if not 0 <= stake < MAX_STAKE:
        raise refused("ledger: stake is too large")
    if len(multiaddr.encode()) > MAX_MULTIADDR_BYTES:
        raise refused("ledger: multiaddr is longer than 256 bytes")


def check_anchor(size: int, root: Digest, proof: Sequence[Digest]) -> None:
    """Raise `Refused` for an anchor that does not fit the contract's parameters."""
    check_digests(root, *proof)
    if size >= MAX_SIZE:
        raise refused("ledger: size is too large")
    if len(proof) > MAX_PATH:
        raise refused("ledger: proof has the wrong length")


def check_relays(relays: Sequence[Relay]) -> None:
    """Raise `Refused` for relayed anchors that do not fit the contract's parameters."""
    if len(relays) > MAX_RELAYS:
        raise refused("ledger: relays are more than 32")
    for relay in relays:
        check_anchor(relay.size, relay.root, relay.proof)
        if len(relay.signature) != 65:
            raise refused("ledger: signature is not 65 bytes")


def check_bounds(bounds: SampleBounds) -> None:
    """Raise `Refused` for bounds that the contract takes of no node."""
    check_digests(bounds.report)
    least, most = bounds.at_least_millionths, bounds.at_most_millionths
    if not (0 <= least <= most <= MILLION and 0 <= bounds.confidence_millionths <= MILLION):
        raise refused("ledger: bound is no rate")
    if not 0 < bounds.size < MAX_SIZE:
        raise refused("ledger: size is not anchored")


def check_index(index: int) -> None:
    """Raise `Refused` for an index that no log can have."""
    if not 0 <= index < MAX_SIZE:
        raise refused("ledger: index is not anchored")


def check_leaf(leaf: bytes, path: Sequence[Digest]) -> None:
    """Raise `Refused` for an entry and a proof that do not fit the contract's parameters."""
    if len(leaf) > LEAF_BYTES:
        raise refused("ledger: leaf is not 352 bytes")
    if len(path) > MAX_PATH:
        raise refused("ledger: leaf is not at the index")
    check_digests(*path)


def check_path(leaf_hash: Digest, index: int, path: Sequence[Digest]) -> None:
    """Raise `InvalidProof` for an inclusion proof that does not fit the contract's parameters."""
    evidence = {"leaf": leaf_hash, "index": index, "path": tuple(path)}
    if not 0 <= index < MAX_SIZE or len(path) > MAX_PATH:
        raise InvalidProof(f"no log has a leaf {index} with {len(path)} hashes above it", evidence=evidence)
    if any(len(found) != 32 for found in (leaf_hash, *path)):
        raise InvalidProof("the proof has a hash that is not 32 bytes", evidence=evidence)


def check_digests(*digests: bytes) -> None:
    """Raise `ValueError` unless each is 32 bytes: a bug of the caller, never a peer's fault."""
    for digest in digests:
        if len(digest) != 32:
            raise ValueError(f"a digest has 32 bytes, not {len(digest)}")


def refused(reason: str) -> Refused:
    """The contract said no. `reason` is its revert text, `ledger: <reason>`; empty where it gave none."""
    return Refused(
        f"the ledger contract refused: {reason.removeprefix('ledger: ') or 'no reason given'}", reason=reason
    )
