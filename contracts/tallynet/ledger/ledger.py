"""What the ledger promises, whichever way it is reached.

`chain.ChainLedger` keeps this promise over any Ethereum RPC URL, `memory.MemoryLedger` inside one process.
The rules are those of `contracts/ledger.vy` and spec chapter 5.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tallynet.protocol.eip712 import Domain
from tallynet.protocol.fault import AnchoredAt, Fault, FaultKind, Witness
from tallynet.protocol.keys import Key
from tallynet.protocol.units import Address, Digest, JobId, Seconds, Signature, Wei


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


@dataclass(frozen=True, slots=True)
class SampleBounds:
    """What a sampling audit came to. Rates are parts of all runs, in millionths, 0 … 1,000,000."""

    report: Digest
    """EIP-712 digest of the report: spec chapter 6, "Reports"."""
    size: int
    """Leaves in the anchored log that was sampled, 1 ≤ size < 2**40."""
    confidence_millionths: int
    """Of both bounds."""
    at_most_millionths: int
    at_least_millionths: int
    """Not above `at_most_millionths`."""


@dataclass(frozen=True, slots=True)
class Attestation:
    """Such bounds as an event on the chain (`attest`). The contract takes anybody's: look whose it is."""

    node: Address
    auditor: Address
    bounds: SampleBounds
    time: Seconds
    block: int
    transaction: Digest
    gas: int


@dataclass(frozen=True, slots=True)
class Slashing:
    """A stake that was taken, or would be."""

    node: Address
    reporter: Address
    kind: FaultKind
    reward: Wei
    """What the reporter got: a tenth of the stake."""
    burnt: Wei
    """The rest, which nobody can ever move again."""
    block: int
    transaction: Digest
    """32 zero bytes in the answer of `try_slash`."""
    gas: int


@dataclass(frozen=True, slots=True)
class Challenge:
    """A public request that a node show one anchored entry."""

    node: Address
    index: int
    challenger: Address
    bond: Wei
    answer_by: Seconds


@dataclass(frozen=True, slots=True)
class Relay:
    """An anchor that somebody else may post for a node."""

    node: Address
    size: int
    root: Digest
    proof: tuple[Digest, ...]
    signature: Signature
    """The node's, over Anchor(uint64 size,bytes32 root): see `rules.sign_relay`."""


class Ledger(Protocol):
    """Every method raises `ChainUnreachable` when the chain does not answer, `Refused` on a revert."""

    @property
    def domain(self) -> Domain:
        """The EIP-712 domain: chain id and contract address; every signature is bound to it."""

    async def now(self) -> Seconds:
        """Time of the newest block."""

    async def block_number(self) -> int: ...

    async def block_hash(self, number: int) -> Digest | None:
        """Hash of a block of the present chain; None while there is no such block."""

    async def register(self, operator: Key, node: Key, stake: Wei, multiaddr: str) -> None:
        """Stake for `node` and publish its address; a repeat by the same operator adds stake and replaces
        `multiaddr`. `node` signs its consent so that nobody can register another's key.

        Not safe to repeat blindly: every call that gets into a block pays `stake`. After `ChainUnreachable` the same
        call in the same process finds the first; another process looks at `node` before it calls again.
        """

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

    async def record(self, node: Key, job: JobId, request_hash: Digest, output_hash: Digest) -> RunRecord:
        """Write one run on the chain by itself. Safe to repeat: the same three words by the same node are written
        once, as far back as the ledger looks (`ChainSettings.blocks_per_query` blocks, all in memory), and the first
        record is returned. The contract itself takes repeats."""

    async def records(self, node: Address, *, from_block: int = 0) -> Sequence[RunRecord]: ...

    async def attest(self, auditor: Key, node: Address, bounds: SampleBounds) -> Attestation:
        """Write on the chain what a sampling audit of `node` came to. Safe to repeat, as `record` is."""

    async def attestations(self, node: Address, *, from_block: int = 0) -> Sequence[Attestation]:
        """What anybody attested of `node`, oldest first."""

    async def verify(self, node: Address, leaf_hash: Digest, index: int, path: Sequence[Digest]) -> None:
        """Ask the contract whether `leaf_hash` is leaf `index` of the anchored head; raises `InvalidProof`."""

    async def begin_exit(self, operator: Key, node: Address) -> Seconds:
        """Start unbonding; returns when `withdraw` becomes possible."""

    async def withdraw(self, operator: Key, node: Address) -> Wei:
        """Take the stake back after unbonding."""

    async def anchor_many(self, relayer: Key, relays: Sequence[Relay]) -> Sequence[Anchor]:
        """Post up to 32 anchors that their nodes signed for relaying, in one transaction. An anchor that does not
        grow its node's log is passed over by the contract; a bad signature or proof reverts all of them. Returns
        those that this call posted, so a repeat returns none of them."""

    async def ring(self, node: Address) -> Sequence[AnchoredAt]:
        """The contract's memory of the node's last anchors, oldest first; the last one is the head."""

    async def witness(self, node: Address) -> Witness:
        """All that `fault.check_fault` needs, as of the newest block."""

    async def try_slash(self, reporter: Address, fault: Fault) -> Slashing:
        """What `slash` would do and cost, without sending anything: `gas` is an estimate. Raises `Refused`."""

    async def slash(self, reporter: Key, fault: Fault) -> Slashing:
        """Have the node's whole stake taken: a tenth for the reporter, the rest burnt.

        Safe to repeat: while the node has no stake because this reporter had it slashed for the same kind of fault,
        that slashing is returned and nothing is posted.
        """

    async def slashings(self, *, node: Address | None = None, from_block: int = 0) -> Sequence[Slashing]:
        """Every stake ever taken, oldest first, and every challenge that ended when there was none to take: those
        have no reward and burnt nothing."""

    async def bond(self, node: Address) -> Wei:
        """What the next challenge against `node` costs; doubles with each that is open."""

    async def challenge(self, challenger: Key, node: Address, index: int) -> Challenge:
        """Ask in public for entry `index` of the anchored log. The bond goes to the node's operator if it answers, and
        back to the challenger if it does not. A repeat is refused while the first is open."""

    async def challenges(self, node: Address) -> Sequence[Challenge]:
        """Those that are open, oldest first."""

    async def answer(self, sender: Key, node: Address, index: int, leaf: bytes, path: Sequence[Digest]) -> None:
        """Show the entry: 352 bytes and the inclusion proof to the present head. Anybody may."""

    async def finalize(self, sender: Key, node: Address, index: int) -> Slashing:
        """Have a node slashed that did not answer a challenge in time; the challenger gets bond and reward. A node
        that has no stake any more loses none: the challenger gets the bond alone."""
