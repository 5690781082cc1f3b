"""What the ledger promises, whichever way it is reached.

`chain.ChainLedger` keeps this promise over any Ethereum RPC URL, `memory.MemoryLedger` inside one process.
The rules are those of `contracts/ledger.vy` and spec chapter 5.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tallynet.protocol.eip712 import Domain
from tallynet.protocol.keys import Key
from tallynet.protocol.units import Address, Digest, JobId, Seconds, Wei


@dataclass(frozen=True, slots=True)
class Anchor:
    """One posted log head, as an event on the chain."""

    node: Address
    size: int
    """Leaves in the log, 1 ≤ size < 2**40."""
    root: Digest
    """RFC 9162 root (SHA-256) of the first `size` leaves."""
    time: Seconds
    """Time of the block that holds it."""
    block: int
    block_hash: Digest
    transaction: Digest
    gas: int
    """Gas the whole transaction used."""
    confirmed: bool
    """True once the block is deep enough (`confirmations`) that we rely on it."""


@dataclass(frozen=True, slots=True)
class Head:
    """What the contract's storage says of one node right now."""

    size: int
    """0 for a node that has never anchored."""
    root: Digest
    anchored_at: Seconds


@dataclass(frozen=True, slots=True)
class NodeEntry:
    """A registered node."""

    node: Address
    """The node's name: the address of its log signer."""
    operator: Address
    """Owns the stake."""
    stake: Wei
    multiaddr: str
    """Where it said it can be dialled, with `/p2p/`; may be stale."""
    exiting_at: Seconds
    """When the stake can be withdrawn; 0 while the node stays."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run recorded directly on the chain (`record`)."""

    node: Address
    job: JobId
    request_hash: Digest
    output_hash: Digest
    time: Seconds
    block: int
    transaction: Digest
    gas: int


class Ledger(Protocol):
    """Every method raises `ChainUnreachable` when the chain does not answer, `Refused` on a revert."""

    @property
    def domain(self) -> Domain:
        """The EIP-712 domain: chain id and contract address; every signature is bound to it."""

    async def now(self) -> Seconds:
        """Time of the newest block."""

    async def block_number(self) -> int: ...

    async def register(self, operator: Key, node: Key, stake: Wei, multiaddr: str) -> None:
        """Stake for `node` and publish its address; a repeat by the same operator adds stake and replaces
        `multiaddr`. `node` signs its consent so that nobody can register another's key."""

    async def nodes(self) -> Sequence[NodeEntry]:
        """Everyone registered and not withdrawn."""

    async def node(self, node: Address) -> NodeEntry | None: ...

    async def head(self, node: Address) -> Head: ...

    async def anchor(self, node: Key, size: int, root: Digest, proof: Sequence[Digest]) -> Anchor:
        """Post a larger head with the consistency proof from the present one (empty for the first).

        Returns once the transaction is in a block; `confirmed` may still be False. Safe to repeat: when the
        head is already (size, root) the anchor that made it so is returned and nothing is posted.
        """

    async def anchors(self, node: Address, *, from_block: int = 0) -> Sequence[Anchor]:
        """All anchors of `node` in the present chain, oldest first."""

    async def record(self, node: Key, job: JobId, request_hash: Digest, output_hash: Digest) -> RunRecord: ...

    async def records(self, node: Address, *, from_block: int = 0) -> Sequence[RunRecord]: ...

    async def verify(self, node: Address, leaf_hash: Digest, index: int, path: Sequence[Digest]) -> None:
        """Ask the contract whether `leaf_hash` is leaf `index` of the anchored head; raises `InvalidProof`."""

    async def begin_exit(self, operator: Key, node: Address) -> Seconds:
        """Start unbonding; returns when `withdraw` becomes possible."""

    async def withdraw(self, operator: Key, node: Address) -> Wei:
        """Take the stake back after unbonding."""
