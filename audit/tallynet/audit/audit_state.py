"""(6) How far an audit came, so that it need not begin again: the frontier, every job's place, the anchors checked.

    tallynet-audit@v1 ‖ SHA-256 of the rest ‖ msgpack of `AuditState`

It is the auditor's own note to itself, and no proof for anybody else. Always taken at a multiple of 256 entries that
are all anchored: whatever is anchored later is then larger.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from tallynet.audit.tile_rows import Rows
from tallynet.ledger.ledger import Anchor
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import InvalidProof, Misconfigured
from tallynet.protocol.job import Bytes20, Bytes32
from tallynet.protocol.merkle_tree import Frontier
from tallynet.protocol.receipt import MAX_LOG_SIZE
from tallynet.protocol.tiles import MAX_LEVEL, TILE_WIDTH
from tallynet.protocol.units import Address, Digest, JobId, Seconds
from tallynet.protocol.whole_file import write_whole

MAGIC = b"tallynet-audit@v1\n"
MAX_STATE_BYTES = 2**30
"""Largest file; 33 million entries."""

_Hash = Annotated[Digest, Bytes32]
_Row = Annotated[tuple[_Hash, ...], Meta(max_length=TILE_WIDTH - 1)]


class CheckedAnchor(Struct, frozen=True, array_like=True):
    """An anchor that the entries led to."""

    size: Annotated[int, Meta(ge=1, lt=MAX_LOG_SIZE)]
    root: _Hash


class AuditState(Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that an audit needs to go on."""

    chain_id: Annotated[int, Meta(ge=1, lt=2**53)]
    contract: Annotated[Address, Bytes20]
    node: Annotated[Address, Bytes20]
    at: Annotated[Seconds, Meta(ge=0, lt=2**53)]
    """When it was written, by the auditor's clock."""
    frontier: Annotated[bytes, Meta(min_length=8, max_length=8 + 32 * 40)]
    rows: Annotated[tuple[_Row, ...], Meta(max_length=MAX_LEVEL + 1)]
    anchors: tuple[CheckedAnchor, ...]
    jobs: bytes
    """32 bytes each, in the order of the entries."""

    @property
    def size(self) -> int:
        return len(self.jobs) // 32

    def job_ids(self) -> list[JobId]:
        return [JobId(self.jobs[at : at + 32]) for at in range(0, len(self.jobs), 32)]


_DECODER = msgspec.msgpack.Decoder(AuditState)


def state_of(
    domain: Domain,
    node: Address,
    at: Seconds,
    frontier: Frontier,
    rows: Rows,
    anchors: Sequence[Anchor],
    jobs: bytes,
) -> AuditState:
    checked = tuple(CheckedAnchor(anchor.size, anchor.root) for anchor in anchors if anchor.size <= frontier.size)
    return AuditState(domain.chain_id, domain.contract, node, at, frontier.to_bytes(), rows, checked, jobs)


def write_state(path: Path, state: AuditState) -> None:
    """Raises `Misconfigured` when it cannot be written."""
    body = msgspec.msgpack.encode(state)
    write_whole(path, MAGIC + hashlib.sha256(body).digest() + body, "audit's state")


def read_state(path: Path) -> AuditState | None:
    """The state in a file, None when there is no such file.

    Raises `Misconfigured` for a file that is no state or is damaged.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_STATE_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Misconfigured(f"The audit's state {path} cannot be read: {error.strerror}.") from error
    begin = len(MAGIC) + 32
    body = data[begin:]
    if data[:begin] != MAGIC + hashlib.sha256(body).digest():
        raise _no_state(path, "it is damaged or something else")
    try:
        state = _DECODER.decode(body)
        frontier = Frontier.from_bytes(state.frontier)
    except (msgspec.DecodeError, InvalidProof) as error:
        raise _no_state(path, str(error)) from error
    if frontier.size % TILE_WIDTH or 32 * frontier.size != len(state.jobs):
        raise _no_state(path, f"it tells of {len(state.jobs)} bytes of jobs in {frontier.size} entries")
    return state


def contradiction(state: AuditState, domain: Domain, node: Address, anchors: Sequence[Anchor]) -> str:
    """Why the state is of no use with these anchors of the chain; empty when it fits."""
    if (state.chain_id, state.contract, state.node) != (domain.chain_id, domain.contract, node):
        return "it is that of another node or network"
    known = tuple(CheckedAnchor(anchor.size, anchor.root) for anchor in anchors if anchor.size <= state.size)
    if known != state.anchors:
        return "the chain knows other anchors than it was checked against"
    return ""


def _no_state(path: Path, why: str) -> Misconfigured:
    return Misconfigured(
        f"The file {path} is no state of an audit: {why}.",
        remedy="Name another file, or remove this one; the audit then begins at entry 0.",
    )
