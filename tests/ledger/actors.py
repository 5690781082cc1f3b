"""Nodes that keep logs and sign things: honest ones keep every word, the others break it in every way there is."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256

from tallynet.protocol.checkpoint import SignedCheckpoint
from tallynet.protocol.fault import (
    Fault,
    FaultKind,
    Fork,
    LateAnchor,
    NotAPrefix,
    SignedPromise,
    TwoPromises,
    WrongLeaf,
)
from tallynet.protocol.keys import Key
from tallynet.protocol.leaf import LEAF_BYTES
from tallynet.protocol.merkle import leaf_hash
from tallynet.protocol.merkle_tree import Tree
from tallynet.protocol.units import Address, Digest
from tests.protocol.faults import Signer

FAR = 2**52
"""A time that never comes."""


@dataclass
class Actor:
    """A node, and what it has said so far."""

    name: str
    signer: Signer
    operator: Key
    honest: bool
    entries: list[bytes] = field(default_factory=list)
    log: Tree = field(default_factory=Tree)
    forked: Tree = field(default_factory=Tree)
    """As long as the log, with nothing in common."""
    promises: dict[int, SignedPromise] = field(default_factory=dict)
    """What it promised honestly, by index."""
    checkpoints: list[SignedCheckpoint] = field(default_factory=list)
    heads: list[int] = field(default_factory=list)
    """Sizes of all its anchors."""
    evidence: list["Evidence"] = field(default_factory=list)
    """How it broke its word."""

    @property
    def key(self) -> Key:
        return self.signer.key

    @property
    def address(self) -> Address:
        return self.key.address

    @property
    def size(self) -> int:
        """Of the anchored head."""
        return self.heads[-1] if self.heads else 0

    def grow(self, count: int) -> None:
        for number in range(self.log.size, self.log.size + count):
            entry = sha256(f"{self.name} {number}".encode()).digest() * (LEAF_BYTES // 32)
            self.entries.append(entry)
            self.log.append(leaf_hash(entry))
            self.forked.append(leaf_hash(entry + b"another past"))

    def proof(self, size: int) -> list[Digest]:
        """From the anchored head to another size of the log."""
        return self.log.consistency(self.size, size) if self.size else []

    def inclusion(self, index: int) -> tuple[Digest, ...]:
        return tuple(self.log.inclusion(index, self.size))

    def promise(self, index: int, anchor_by: int) -> None:
        """Sign a receipt for an entry of the log; asked again, it is the same one."""
        job = f"{self.name} {index}"
        if index not in self.promises:
            self.promises[index] = self.signer.promise(index, self.log.leaf(index), anchor_by, job)

    def state(self, size: int) -> None:
        """Sign a checkpoint of the log."""
        self.checkpoints.append(self.signer.checkpoint(size, self.log.root(size)))

    def due(self, by: int) -> bool:
        """Whether a promise has to be kept by then."""
        open_promises = (promise.receipt for index, promise in self.promises.items() if index >= self.size)
        return any(receipt.anchor_by <= by for receipt in open_promises)

    def accusations(self, turn: int, other: "Actor") -> Iterator[Fault]:
        """Every kind of fault, said of an honest node with the words that it did sign and with those of another."""
        node, promises = self.address, list(self.promises.values())
        if promises:
            old, new = promises[turn % len(promises)], promises[-1]
            yield LateAnchor(node=node, promise=old)
            yield LateAnchor(node=node, promise=new)
            yield TwoPromises(node=node, first=old, second=new)
            yield from self._leaves(old)
            altered = self.forked.leaf(old.receipt.index)
            yield TwoPromises(
                node=node, first=old, second=other.signer.promise(old.receipt.index, altered, FAR, "a forger's")
            )
        if self.checkpoints:
            one, two = self.checkpoints[turn % len(self.checkpoints)], self.checkpoints[-1]
            yield Fork(node=node, first=one, second=two)
            yield Fork(node=node, first=one, second=forged(one, self.forked, other.signer))
            yield from self._prefixes(one)

    def _leaves(self, promise: SignedPromise) -> Iterator[Fault]:
        index = promise.receipt.index
        path = self.inclusion(index) if index < self.size else ()
        for leaf in (self.log.leaf(index), self.forked.leaf(index)):
            yield WrongLeaf(node=self.address, promise=promise, leaf_hash=leaf, path=path)

    def _prefixes(self, signed: SignedCheckpoint) -> Iterator[Fault]:
        size = signed.checkpoint.size
        path = tuple(self.log.consistency(size, self.size)) if 0 < size <= self.size else ()
        for root in (self.log.root(size), self.forked.root(size)):
            yield NotAPrefix(node=self.address, checkpoint=signed, true_root=root, path=path)


def forged(signed: SignedCheckpoint, forked: Tree, signer: Signer) -> SignedCheckpoint:
    """A contradiction of a checkpoint, signed by somebody else."""
    size = signed.checkpoint.size
    return signer.checkpoint(size, forked.root(size))


@dataclass(frozen=True)
class Evidence:
    """A broken word that can be shown again, with proofs to the head of the day."""

    kind: FaultKind
    fault: Callable[[], Fault]
    fades: bool = False
    """Whether nine more anchors make the contract forget it."""


def overdue(actor: Actor, anchor_by: int, index: int) -> Evidence:
    """A receipt whose time was over before an anchor covered it: until the ring has forgotten."""
    promise = actor.signer.promise(index, actor.log.leaf(index), anchor_by, f"overdue {index} {anchor_by}")
    return Evidence(FaultKind.LATE, lambda: LateAnchor(node=actor.address, promise=promise), fades=True)


def altered_leaf(actor: Actor, index: int) -> Evidence:
    promise = actor.signer.promise(index, actor.forked.leaf(index), FAR, f"altered {index}")

    def fault() -> Fault:
        leaf, path = actor.log.leaf(index), actor.inclusion(index)
        return WrongLeaf(node=actor.address, promise=promise, leaf_hash=leaf, path=path)

    return Evidence(FaultKind.LEAF, fault)


def index_twice(actor: Actor, index: int) -> Evidence:
    first = actor.signer.promise(index, actor.log.leaf(index), FAR, "one")
    second = actor.signer.promise(index, actor.forked.leaf(index), FAR, "other")
    return Evidence(FaultKind.PAIR, lambda: TwoPromises(node=actor.address, first=first, second=second))


def job_twice(actor: Actor, index: int) -> Evidence:
    first = actor.signer.promise(index, actor.log.leaf(index), FAR, "one and the same")
    second = actor.signer.promise(index + 1, actor.log.leaf(index), FAR, "one and the same")
    return Evidence(FaultKind.PAIR, lambda: TwoPromises(node=actor.address, first=first, second=second))


def two_roots(actor: Actor, size: int) -> Evidence:
    first, second = (actor.signer.checkpoint(size, tree.root(size)) for tree in (actor.log, actor.forked))
    return Evidence(FaultKind.FORK, lambda: Fork(node=actor.address, first=first, second=second))


def other_beginning(actor: Actor, size: int) -> Evidence:
    signed = actor.signer.checkpoint(size, actor.forked.root(size))

    def fault() -> Fault:
        root, path = actor.log.root(size), tuple(actor.log.consistency(size, actor.size))
        return NotAPrefix(node=actor.address, checkpoint=signed, true_root=root, path=path)

    return Evidence(FaultKind.PREFIX, fault)
