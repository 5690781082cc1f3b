"""(6) Is this node's log whole? Checks (1) to (10) of spec chapter 6, "A whole log".

Anchors are read before the checkpoint: a log only grows, so an honest checkpoint can then never be behind them.
When the promised times were kept is not seen here: they stand in the receipts, and those are the clients'.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

import trio

from tallynet.audit.anchoring import read_anchors
from tallynet.audit.history import CONVICTED, History
from tallynet.ledger.ledger import Anchor, Ledger
from tallynet.network.log_reader import LogReader
from tallynet.network.transport import PeerAddress, Transport
from tallynet.protocol.checkpoint import Checkpoint
from tallynet.protocol.errors import Invalid, InvalidCheckpoint, Refused
from tallynet.protocol.keys import address_of_peer
from tallynet.protocol.units import Address, Digest, prefixed
from tallynet.protocol.wire import MAX_ENTRIES

Progress = Callable[[int, int], None]
"""Hears (entries checked, entries in the log) after every page."""

WITHHELD = "Ask again; a node that goes on like this withholds a log that it answers for."


class NodeVerdict(StrEnum):
    PASS = "PASS"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class NodeAudit:
    """What was found."""

    node: Address
    verdict: NodeVerdict
    entries_checked: int
    anchors_checked: int
    size: int
    """Entries in the log by its signed checkpoint; 0 when there was none to be had."""
    root: Digest | None
    unanchored: int
    """Entries that no anchor covers yet."""
    failure: Invalid | None
    """The first thing that is wrong, with its number, both values and the evidence."""
    seconds: float

    @property
    def reason(self) -> str:
        """What is wrong, with the number of the check; empty for a log that passed."""
        return "" if self.failure is None else str(self.failure)


async def audit_node(
    transport: Transport, ledger: Ledger, node: Address, peer: PeerAddress, *, progress: Progress | None = None
) -> NodeAudit:
    """Re-read the log of `node`, served by `peer`, from entry 0 and compare it with the chain.

    What is wrong with the log is in the result. Raises `Unreachable` when chain or node do not answer, `Busy` when
    the node asks for patience: that proves nothing against anybody.
    """
    begun = time.monotonic()
    anchors = await read_anchors(ledger, node)
    history, checkpoint, failure = History(anchors), None, None
    try:
        await _check_known(ledger, node, anchors)
        reader = LogReader(transport, peer, ledger.domain)
        checkpoint = await _checkpoint(reader, node, peer)
        _check_not_behind(checkpoint, anchors)
        while history.entries_checked < checkpoint.size:
            entries = await _page(reader, history.entries_checked, checkpoint.size)
            await trio.to_thread.run_sync(history.extend, entries)
            if progress is not None:
                progress(history.entries_checked, checkpoint.size)
        _check_root(history, checkpoint)
    except Invalid as error:
        failure = error
    return _result(node, anchors, history, checkpoint, failure, time.monotonic() - begun)


async def _check_known(ledger: Ledger, node: Address, anchors: Sequence[Anchor]) -> None:
    # (1) the contract knows the node: it is registered, or was and has anchored
    if not anchors and await ledger.node(node) is None:
        raise InvalidCheckpoint(
            f"the contract knows no node {prefixed(node)}", check=1, remedy="Check the address and the network file."
        )


async def _checkpoint(reader: LogReader, node: Address, peer: PeerAddress) -> Checkpoint:
    # (2) the node itself signed the head of the log that is shown
    with _failing(2, "the node gives no checkpoint that holds"):
        if (found := address_of_peer(peer.peer)) != node:
            raise InvalidCheckpoint(f"the peer asked is {prefixed(found)}, not {prefixed(node)}")
        return (await reader.checkpoint()).checkpoint


def _check_not_behind(checkpoint: Checkpoint, anchors: Sequence[Anchor]) -> None:
    for anchor in anchors:
        # (3) the checkpoint covers all that was anchored, and does not contradict it
        contradicts = anchor.size == checkpoint.size and anchor.root != checkpoint.root
        if anchor.size > checkpoint.size or contradicts:
            raise InvalidCheckpoint(
                f"the node signed a log of {checkpoint.size} entries with root {checkpoint.root.hex()}, and anchored "
                f"one of {anchor.size} with root {anchor.root.hex()} in block {anchor.block}",
                check=3,
                evidence={"checkpoint": checkpoint, "anchor": anchor},
                remedy=CONVICTED,
            )


async def _page(reader: LogReader, start: int, size: int) -> Sequence[bytes]:
    # (4) every entry is shown
    with _failing(4, f"entry {start} of {size} is not shown"):
        entries = await reader.entries(start, min(MAX_ENTRIES, size - start))
        if not entries:
            raise InvalidCheckpoint(f"the node signed a log of {size} entries and ends it after {start}")
        return entries


def _check_root(history: History, checkpoint: Checkpoint) -> None:
    # (10) the entries lead to the root of the checkpoint
    if history.root != checkpoint.root:
        raise InvalidCheckpoint(
            f"the {checkpoint.size} entries have root {history.root.hex()}, the node signed {checkpoint.root.hex()}",
            check=10,
            evidence={"checkpoint": checkpoint, "computed": history.root},
            remedy=CONVICTED,
        )


@contextmanager
def _failing(number: int, what: str) -> Iterator[None]:
    """Turns what a node answers wrongly, or refuses to answer, into the failure of check `number`."""
    try:
        yield
    except Invalid as error:
        raise InvalidCheckpoint(
            f"{what}: {error.message}", check=number, evidence=error.evidence, remedy=WITHHELD
        ) from error
    except Refused as error:
        raise InvalidCheckpoint(f"{what}: {error.message}", check=number, remedy=WITHHELD) from error


def _result(
    node: Address,
    anchors: Sequence[Anchor],
    history: History,
    checkpoint: Checkpoint | None,
    failure: Invalid | None,
    seconds: float,
) -> NodeAudit:
    size = checkpoint.size if checkpoint else 0
    return NodeAudit(
        node=node,
        verdict=NodeVerdict.FAIL if failure else NodeVerdict.PASS,
        entries_checked=history.entries_checked,
        anchors_checked=history.anchors_checked,
        size=size,
        root=checkpoint.root if checkpoint else None,
        unanchored=max(0, size - (anchors[-1].size if anchors else 0)),
        failure=failure,
        seconds=seconds,
    )
