"""(6) My receipts against the anchored logs: an omitted or altered run is evidence only for who has its receipt.

Clients keep the receipt of every job; this looks each one up where its node promised it. Source: spec chapter 6,
"Own receipts".
"""

from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from pathlib import Path

from tallynet.audit.anchoring import Chain, first_covering, read_anchors
from tallynet.audit.bundle_file import read_file
from tallynet.audit.evidence import Suspect, find_late, find_pair, find_wrong_leaf, promise_of
from tallynet.console.moments import moment
from tallynet.ledger.ledger import Anchor
from tallynet.network.log_reader import LogReader
from tallynet.protocol import merkle
from tallynet.protocol.bundle import SUFFIX, Bundle, read_bundle
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import Deferred, Invalid, InvalidBundle, InvalidReceipt, Refused, TallyError, Unreachable
from tallynet.protocol.fault import Fault, Witness
from tallynet.protocol.receipt import verify_receipt
from tallynet.protocol.units import Address


class Standing(StrEnum):
    """How a receipt stands."""

    ANCHORED = "anchored"
    """The promised leaf is at the promised place, and came in time."""
    PENDING = "pending"
    """Not anchored yet, and the promised time is not over."""
    LATE = "late"
    """Anchored after the promised time, or not at all by now."""
    OTHER_LEAF = "other leaf"
    """The anchored log has another leaf at the promised place."""
    CONTRADICTED = "contradicted"
    """Another receipt of the same node contradicts it."""
    UNPROVEN = "unproven"
    """Covered by an anchor in time, but the node does not show the entry."""
    INVALID = "invalid"
    """No receipt that its node signed: nothing can be held against anybody with it."""


BROKEN = frozenset({Standing.LATE, Standing.OTHER_LEAF, Standing.CONTRADICTED})
"""The node broke its word."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One receipt and how it stands."""

    bundle: Bundle
    standing: Standing
    detail: str
    fault: Fault | None = None
    """What the contract would slash for; None for a broken word that it can no longer judge."""


@dataclass(frozen=True, slots=True)
class Collection:
    """The receipts in a folder."""

    bundles: tuple[Bundle, ...]
    """Those of the network asked for."""
    elsewhere: int
    """Files of other chains or contracts."""
    unreadable: tuple[str, ...]
    """Names of files that are no bundles."""


def read_receipts(folder: Path, domain: Domain, passed_over: Container[str] = ()) -> Collection:
    """Every bundle in `folder` but the files of these names. Raises `Misconfigured` for one that cannot be read."""
    bundles, elsewhere, unreadable = [], 0, []
    for path in sorted(path for path in folder.glob(f"*{SUFFIX}") if path.name not in passed_over):
        try:
            bundle = read_bundle(read_file(path))
        except InvalidBundle:
            unreadable.append(path.name)
            continue
        if bundle.domain == domain:
            bundles.append(bundle)
        else:
            elsewhere += 1
    return Collection(tuple(bundles), elsewhere, tuple(unreadable))


async def check_receipts(bundles: Iterable[Bundle], chain: Chain) -> list[Kept]:
    """How each receipt stands, node by node and in the order of their logs. Raises `ChainUnreachable`."""
    found: list[Kept] = []
    ordered = sorted(bundles, key=lambda bundle: (bundle.node, bundle.receipt.receipt.index))
    for node, of_node in groupby(ordered, key=lambda bundle: bundle.node):
        found += await _check_node(node, list(of_node), chain)
    return found


async def _check_node(node: Address, bundles: Sequence[Bundle], chain: Chain) -> list[Kept]:
    suspect, ledger = Suspect(node, chain.ledger.domain), chain.ledger
    anchors, witness = await read_anchors(ledger, node), await ledger.witness(node)
    async with AsyncExitStack() as asking:
        check = _Check(suspect, chain, anchors, witness, asking)
        found = [await check.stands(bundle) for bundle in bundles]
    return list(_with_contradictions(suspect, found))


class _Check:
    """Looks up the receipts of one node."""

    def __init__(
        self, suspect: Suspect, chain: Chain, anchors: Sequence[Anchor], witness: Witness, asking: AsyncExitStack
    ) -> None:
        """`asking` is left when no more is asked of the node."""
        self._suspect = suspect
        self._chain = chain
        self._anchors = anchors
        self._witness = witness
        self._asking = asking
        self._log: LogReader | None = None
        self._unreachable: TallyError | None = None

    async def stands(self, bundle: Bundle) -> Kept:
        try:
            verify_receipt(bundle.receipt, self._suspect.domain, self._suspect.node)
        except InvalidReceipt as error:
            return Kept(bundle, Standing.INVALID, error.message)
        receipt = bundle.receipt.receipt
        first = first_covering(self._anchors, receipt.index)
        # (1) an anchor covers the entry, or its time is not over
        if first is None and self._witness.now <= receipt.anchor_by:
            return Kept(bundle, Standing.PENDING, f"until {moment(receipt.anchor_by)}")
        # (2) the first anchor that covers it came by the promised time
        if first is None or first.time > receipt.anchor_by:
            return self._late(bundle, first)
        if _shows_itself(bundle, self._anchors):
            return Kept(bundle, Standing.ANCHORED, f"in block {first.block}")
        return await self._look_up(bundle, first)

    def _late(self, bundle: Bundle, first: Anchor | None) -> Kept:
        when = f"anchored at {moment(first.time)}" if first else "not anchored"
        detail = f"due {moment(bundle.receipt.receipt.anchor_by)}, {when}"
        fault = find_late(self._suspect, promise_of(bundle.receipt), self._witness)
        if fault is None:
            detail += "; too long ago for the contract to judge"
        return Kept(bundle, Standing.LATE, detail, fault)

    async def _look_up(self, bundle: Bundle, first: Anchor) -> Kept:
        promise = promise_of(bundle.receipt)
        # (3) the anchored log has the promised leaf at the promised place
        try:
            fault = await find_wrong_leaf(self._suspect, promise, await self._reader(), self._witness)
        except (Invalid, Refused, Deferred, Unreachable) as error:
            return Kept(bundle, Standing.UNPROVEN, error.message)
        if fault is not None:
            return Kept(bundle, Standing.OTHER_LEAF, f"the log has {fault.leaf_hash.hex()[:8]}… there", fault)
        return Kept(bundle, Standing.ANCHORED, f"in block {first.block}")

    async def _reader(self) -> LogReader:
        """The node's log; a node that could not be reached once is not dialled for every receipt."""
        if self._unreachable is not None:
            raise self._unreachable
        if self._log is None:
            try:
                self._log = await self._chain.find_log(self._suspect.node)
            except Unreachable as error:
                self._unreachable = error
                raise
            await self._asking.enter_async_context(self._log.many_questions())
        return self._log


def _shows_itself(bundle: Bundle, anchors: Sequence[Anchor]) -> bool:
    """Whether the bundle has a proof of its own that leads to an anchor of the chain."""
    if bundle.inclusion is None:
        return False
    stated, receipt = bundle.inclusion.anchor, bundle.receipt.receipt
    if not any((anchor.size, anchor.root) == (stated.size, stated.root) for anchor in anchors):
        return False
    try:
        merkle.verify_inclusion(receipt.leaf, receipt.index, stated.size, bundle.inclusion.proof.path, stated.root)
    except Invalid:
        return False  # the node is asked for a proof instead
    return True


def _with_contradictions(suspect: Suspect, found: Sequence[Kept]) -> Iterator[Kept]:
    # (4) no two receipts of one node contradict each other
    signed = [kept for kept in found if kept.standing is not Standing.INVALID]
    pair = find_pair(suspect, [promise_of(kept.bundle.receipt) for kept in signed])
    for kept in found:
        if pair is not None and promise_of(kept.bundle.receipt) == pair.second:
            other = pair.first.receipt
            detail = f"the node promised entry {other.index} to job {other.job.hex()[:8]}… too"
            yield Kept(kept.bundle, Standing.CONTRADICTED, detail, pair)
        else:
            yield kept


def worst(found: Sequence[Kept]) -> Standing:
    """The standing to act on: broken before unproven before pending."""
    order = [Standing.CONTRADICTED, Standing.OTHER_LEAF, Standing.LATE, Standing.UNPROVEN, Standing.INVALID]
    present = {kept.standing for kept in found}
    return next((standing for standing in [*order, Standing.PENDING] if standing in present), Standing.ANCHORED)
