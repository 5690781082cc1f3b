"""The chain below `memory`: blocks that keep the whole state, so that the last ones can be taken away again."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TypeVar

from tallynet.ledger.ledger import Anchor, Attestation, Challenge, Head, NodeEntry, RunRecord, Slashing
from tallynet.protocol.fault import AnchoredAt
from tallynet.protocol.units import ZERO_DIGEST, Address, Digest, Seconds, Wei

Event = Anchor | RunRecord | Attestation | Slashing
E = TypeVar("E", Anchor, RunRecord, Attestation, Slashing)


@dataclass(frozen=True, slots=True)
class Account:
    """What the contract keeps of one node, and its last published address."""

    operator: Address | None = None
    stake: int = 0
    exiting_at: int = 0
    head: Head = Head(0, ZERO_DIGEST, Seconds(0))
    ring: tuple[AnchoredAt, ...] = ()
    """The last anchors, oldest first, the head last; at most `rules.RING`."""
    challenges: tuple[Challenge, ...] = ()
    """Those that are open, oldest first."""
    multiaddr: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    number: int
    hash: Digest
    time: Seconds
    accounts: Mapping[Address, Account] = field(default_factory=dict)
    events: tuple[Event, ...] = ()

    @property
    def transaction(self) -> Digest:
        """The hash of the one transaction in it."""
        return Digest(sha256(b"transaction" + self.hash).digest())


class Blocks:
    """A chain of blocks with at most one transaction each. Block times follow the clock and never go back."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """`clock` gives seconds since the epoch."""
        self._clock = clock
        self._mined = 0
        self._blocks = [Block(0, ZERO_DIGEST, Seconds(int(clock())))]

    @property
    def last(self) -> Block:
        return self._blocks[-1]

    def hash(self, number: int) -> Digest | None:
        """Of a block of the present chain; None while there is none."""
        return self._blocks[number].hash if 0 <= number < len(self._blocks) else None

    def next(self) -> Block:
        """The block that is going to hold the present transaction."""
        label = f"{self._mined}".encode() + self.last.hash
        seconds = max(self.last.time, Seconds(int(self._clock())))
        return Block(self.last.number + 1, Digest(sha256(b"block" + label).digest()), seconds)

    def seal(self, accounts: Mapping[Address, Account], *events: Event) -> None:
        """Add the next block: the accounts that its transaction changed, and what it logged."""
        self._blocks.append(replace(self.next(), accounts={**self.last.accounts, **accounts}, events=events))
        self._mined += 1  # a block that replaces another has another hash

    def rewind(self, blocks: int) -> None:
        """Take the last blocks away with all they hold. The first block stays."""
        del self._blocks[max(1, len(self._blocks) - blocks) :]

    def account(self, node: Address) -> Account:
        return self.last.accounts.get(node, Account())

    def entries(self) -> list[NodeEntry]:
        """Everyone registered."""
        found = [entry(node, account) for node, account in self.last.accounts.items()]
        return [node for node in found if node]

    def events(self, kind: type[E], from_block: int = 0) -> Sequence[E]:
        """All events of a kind, oldest first."""
        blocks = self._blocks[max(0, from_block) :]
        return [event for block in blocks for event in block.events if isinstance(event, kind)]


def entry(node: Address, account: Account) -> NodeEntry | None:
    """The account as the ledger lists it; None for a node that is not registered."""
    if account.operator is None:
        return None
    return NodeEntry(node, account.operator, Wei(account.stake), account.multiaddr, Seconds(account.exiting_at))
