"""(6) What the chain says of a bundle's anchor: checks (11) to (13), and the anchor of a bundle that has none yet."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tallynet.console.moments import moment
from tallynet.ledger.ledger import Anchor, Ledger
from tallynet.network.log_reader import LogReader
from tallynet.protocol.bundle import AnchorRef, Bundle, attach_anchor
from tallynet.protocol.bundle_checks import CheckResult, failing, passed, pending
from tallynet.protocol.errors import ChainUnreachable, InvalidBundle
from tallynet.protocol.units import Address, Digest, prefixed


@dataclass(frozen=True, slots=True)
class Chain:
    """What an auditor with a connection can ask."""

    ledger: Ledger
    find_log: Callable[[Address], Awaitable[LogReader]]
    """Reaches a node's log; asked only for the path of a bundle that has none. Raises `NodeUnreachable`."""


async def complete(bundle: Bundle, chain: Chain) -> Bundle:
    """The bundle with the first anchor that covers its run; as it was while there is none.

    Raises `InvalidBundle`, check 12, when there is none and the promised time is over, check 9 when the node's path
    does not lead to the anchored root. Raises what the ledger and the node's log raise.
    """
    receipt = bundle.receipt.receipt
    anchor = first_covering(await read_anchors(chain.ledger, bundle.node), receipt.index)
    if anchor is None:
        await _check_promise_open(bundle, chain.ledger)
        return bundle
    reader = await chain.find_log(bundle.node)
    path = await reader.inclusion(receipt.index, anchor.size)
    # (9) the leaf is in the anchored log, by the node's own path and signature
    with failing(9):
        checkpoint = await reader.checkpoint_note(anchor.size)
        return attach_anchor(bundle, reference(anchor), path, checkpoint)


async def read_anchors(ledger: Ledger, node: Address) -> Sequence[Anchor]:
    """All anchors of the node, oldest first, each larger than the one before.

    They must lead up to the head in the contract's storage, read before them: raises `ChainUnreachable` when they do
    not, because an endpoint without old events would make honest nodes look like cheats, and cheats honest.
    """
    head = await ledger.head(node)
    anchors = await ledger.anchors(node)
    growing = all(older.size < newer.size for older, newer in pairwise(anchors))
    known = head.size == 0 or any((anchor.size, anchor.root) == (head.size, head.root) for anchor in anchors)
    if not growing or not known:
        raise ChainUnreachable(
            f"the chain gives {len(anchors)} anchors of node {prefixed(node)}, and they do not lead to the head of "
            f"size {head.size} that the contract holds.",
            remedy="Use an RPC URL that serves the events of all blocks since the contract's creation.",
        )
    return anchors


def first_covering(anchors: Sequence[Anchor], index: int) -> Anchor | None:
    """The anchor that kept the promise for leaf `index`: the oldest whose log is longer."""
    return next((anchor for anchor in anchors if anchor.size > index), None)


def reference(anchor: Anchor) -> AnchorRef:
    """How a bundle names an anchor."""
    return AnchorRef(anchor.size, anchor.root, anchor.time, anchor.block, anchor.block_hash, anchor.transaction)


def check_known(anchors: Sequence[Anchor], stated: AnchorRef) -> CheckResult:
    """Check (11), with all anchors of the node; pending while the block is young. Raises `InvalidBundle`."""
    found = next((anchor for anchor in anchors if anchor.size == stated.size), None)
    # (11) the contract knows an anchor of this size, and all of it is as the file says
    if found is None:
        sizes = ", ".join(str(anchor.size) for anchor in anchors[-5:]) or "none"
        raise InvalidBundle(
            f"the contract knows no anchor of size {stated.size} by this node; the newest it knows: {sizes}", check=11
        )
    known = reference(found)
    for name in ("root", "time", "block", "block_hash", "transaction"):
        said, true = getattr(stated, name), getattr(known, name)
        if said != true:
            raise InvalidBundle(
                f"the anchor's {name.replace('_', ' ')} is {_plain(said)} in the file, {_plain(true)} on the chain",
                check=11,
                evidence={"stated": stated, "known": known},
            )
    if not found.confirmed:
        return pending(11, f"block {found.block} is not yet confirmed")
    return passed(11, f"size {found.size} in block {found.block}")


def check_in_time(anchors: Sequence[Anchor], bundle: Bundle) -> CheckResult:
    """Check (12), with all anchors of the node. Raises `InvalidBundle`."""
    receipt = bundle.receipt.receipt
    first = first_covering(anchors, receipt.index)
    # (12) the first anchor that covers the run came by the promised time; the file may name a later one
    if first is None or first.time > receipt.anchor_by:
        when = "never" if first is None else f"at {moment(first.time)}"
        raise InvalidBundle(
            f"the promise is broken: anchored {when}, the node signed by {moment(receipt.anchor_by)}",
            check=12,
            evidence={"receipt": bundle.receipt, "first": first},
            remedy="Keep the bundle: receipt and anchor together are the evidence against the node.",
        )
    return passed(12, moment(first.time))


async def check_head(node: Address, stated: AnchorRef, ledger: Ledger) -> CheckResult:
    """Check (13). Raises `InvalidBundle`, `ChainUnreachable`."""
    head = await ledger.head(node)
    # (13) the contract's present head of the node is this anchor or a longer log
    if head.size < stated.size:
        raise InvalidBundle(
            f"the node's log on the contract has {head.size} leaves, fewer than the anchored {stated.size}", check=13
        )
    entry = await ledger.node(node)
    return passed(13, f"{head.size} leaves, " + ("staked" if entry else "stake withdrawn since"))


async def _check_promise_open(bundle: Bundle, ledger: Ledger) -> None:
    receipt = bundle.receipt.receipt
    now = await ledger.now()
    # (12) as long as nothing covers the run, the promised time has not come
    if now > receipt.anchor_by:
        raise InvalidBundle(
            f"the promise is broken: node {prefixed(bundle.node)} signed that leaf {receipt.index} would be anchored "
            f"by {moment(receipt.anchor_by)}, the chain is at {moment(now)} and no anchor covers it",
            check=12,
            evidence={"receipt": bundle.receipt, "promised": receipt.anchor_by, "now": now},
            remedy="Keep the bundle: its signed receipt is the evidence against the node.",
        )


def _plain(value: int | Digest) -> str:
    return str(value) if isinstance(value, int) else prefixed(value)
