"""The contract's events, read strictly: what an RPC endpoint says is foreign until it has passed here.

Layouts are those of `contracts/interfaces/ILedger.vyi` in the Solidity ABI. A log that does not fit cannot come
from the contract, so the endpoint is at fault and `ChainUnreachable` says so. What an operator publishes is another
matter: a multiaddr is any bytes, and bytes that are no text become U+FFFD rather than an error.
"""

from dataclasses import dataclass
from typing import Final, Never

from tallynet.ledger.ledger import Challenge, SampleBounds
from tallynet.protocol.eip712 import keccak
from tallynet.protocol.errors import ChainUnreachable
from tallynet.protocol.fault import FaultKind
from tallynet.protocol.job import MILLION
from tallynet.protocol.merkle import MAX_SIZE
from tallynet.protocol.units import Address, Digest, JobId, Seconds, Wei, prefixed

REGISTERED: Final = keccak(b"Registered(address,address,uint256,string)")
ANCHORED: Final = keccak(b"Anchored(address,uint64,bytes32)")
RECORDED: Final = keccak(b"Recorded(address,bytes32,bytes32,bytes32)")
ATTESTED: Final = keccak(b"Attested(address,address,bytes32,uint64,uint32,uint32,uint32)")
EXIT_BEGUN: Final = keccak(b"ExitBegun(address,uint64)")
WITHDRAWN: Final = keccak(b"Withdrawn(address,address,uint256)")
SLASHED: Final = keccak(b"Slashed(address,address,uint8,uint256,uint256)")
CHALLENGED: Final = keccak(b"Challenged(address,uint64,address,uint256,uint64)")


@dataclass(frozen=True, slots=True)
class Log:
    """One event as the chain keeps it."""

    address: Address
    """The contract that wrote it."""
    topics: tuple[Digest, ...]
    """The event's kind, then its indexed members, 32 bytes each."""
    data: bytes
    """The other members."""
    block: int
    block_hash: Digest
    transaction: Digest


@dataclass(frozen=True, slots=True)
class Registered:
    node: Address
    operator: Address
    stake: Wei
    multiaddr: str


@dataclass(frozen=True, slots=True)
class Anchored:
    node: Address
    size: int
    """1 ≤ size < 2**40."""
    root: Digest


@dataclass(frozen=True, slots=True)
class Recorded:
    node: Address
    job: JobId
    request_hash: Digest
    output_hash: Digest


@dataclass(frozen=True, slots=True)
class Attested:
    node: Address
    auditor: Address
    bounds: SampleBounds


@dataclass(frozen=True, slots=True)
class Slashed:
    node: Address
    reporter: Address
    kind: FaultKind
    reward: Wei
    burnt: Wei


def registered(log: Log) -> Registered:
    node, operator = (_address(log, topic) for topic in _topics(log, REGISTERED, 3)[1:])
    stake, offset, length = (_word(log, at) for at in range(3))
    if offset != 64 or length > 256 or len(log.data) != 96 + -(-length // 32) * 32:
        _malformed(log, f"a string of {length} bytes at {offset} in {len(log.data)}")
    return Registered(node, operator, Wei(stake), log.data[96 : 96 + length].decode(errors="replace"))


def anchored(log: Log) -> Anchored:
    _check_width(log, 64)
    size = _word(log, 0)
    if not 0 < size < MAX_SIZE:
        _malformed(log, f"size {size} is not in 1..2**40-1")
    return Anchored(_address(log, _topics(log, ANCHORED, 2)[1]), size, Digest(log.data[32:]))


def recorded(log: Log) -> Recorded:
    _check_width(log, 64)
    _, node, job = _topics(log, RECORDED, 3)
    return Recorded(_address(log, node), JobId(job), Digest(log.data[:32]), Digest(log.data[32:]))


def attested(log: Log) -> Attested:
    _check_width(log, 160)
    node, auditor = (_address(log, topic) for topic in _topics(log, ATTESTED, 3)[1:])
    size, confidence, at_most, at_least = (_word(log, at) for at in range(1, 5))
    if not 0 < size < MAX_SIZE:
        _malformed(log, f"size {size} is not in 1..2**40-1")
    if max(confidence, at_most) > MILLION or at_least > at_most:
        _malformed(log, f"bounds of {at_least} and {at_most} millionths, with {confidence}")
    return Attested(node, auditor, SampleBounds(Digest(log.data[:32]), size, confidence, at_most, at_least))


def exit_begun(log: Log) -> Seconds:
    """When the stake is free."""
    _topics(log, EXIT_BEGUN, 2)
    _check_width(log, 32)
    return _time(log, 0)


def withdrawn(log: Log) -> Wei:
    """What the operator received."""
    _topics(log, WITHDRAWN, 3)
    _check_width(log, 32)
    return Wei(_word(log, 0))


def slashed(log: Log) -> Slashed:
    _check_width(log, 96)
    node, reporter = (_address(log, topic) for topic in _topics(log, SLASHED, 3)[1:])
    kind, reward, burnt = (_word(log, at) for at in range(3))
    if kind not in set(FaultKind):
        _malformed(log, f"no kind {kind} of fault is known")
    return Slashed(node, reporter, FaultKind(kind), Wei(reward), Wei(burnt))


def challenged(log: Log) -> Challenge:
    _check_width(log, 96)
    node, challenger = (_address(log, topic) for topic in _topics(log, CHALLENGED, 3)[1:])
    index, bond = _word(log, 0), Wei(_word(log, 1))
    if index >= MAX_SIZE:
        _malformed(log, f"index {index} is not below 2**40")
    return Challenge(node, index, challenger, bond, _time(log, 2))


def _topics(log: Log, kind: Digest, count: int) -> tuple[Digest, ...]:
    if len(log.topics) != count or log.topics[0] != kind:
        _malformed(log, f"topics {[topic.hex() for topic in log.topics]}")
    return log.topics


def _address(log: Log, word: bytes) -> Address:
    if any(word[:12]):
        _malformed(log, f"{word.hex()} is no address")
    return Address(word[12:])


def _check_width(log: Log, expected: int) -> None:
    if len(log.data) != expected:
        _malformed(log, f"{len(log.data)} bytes of data, not {expected}")


def _word(log: Log, at: int) -> int:
    word = log.data[32 * at : 32 * at + 32]
    if len(word) != 32:
        _malformed(log, f"{len(log.data)} bytes of data, too few")
    return int.from_bytes(word, "big")


def _time(log: Log, at: int) -> Seconds:
    found = _word(log, at)
    if found >= 2**53:
        _malformed(log, f"time {found} is not below 2**53")
    return Seconds(found)


def _malformed(log: Log, what: str) -> Never:
    raise ChainUnreachable(
        f"the RPC endpoint gave a malformed event in transaction {prefixed(log.transaction)}: {what}",
        remedy="Use another RPC endpoint.",
    )
