"""What each call of the contract costs, as whole transactions on py-evm.

    python -m tests.contracts.gas [--json | --write]

Prints a table, or one JSON object, or writes `contracts/gas-snapshot.json`. Exits with 1 when an aim is missed.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, astuple, dataclass
from functools import partial
from itertools import pairwise
from statistics import mean

from tallynet.ledger.compile import SOURCES
from tallynet.ledger.rules import sign_relay
from tallynet.protocol.fault import Fault, Fork, LateAnchor, NotAPrefix, SignedPromise, TwoPromises, WrongLeaf
from tallynet.protocol.keys import Key
from tallynet.protocol.merkle_tree import Tree
from tests.contracts.machine import text
from tests.contracts.meter import (
    ANSWER,
    BOND,
    ENTRY,
    LOG_SIZE,
    MILLION,
    NODE,
    OPERATOR,
    OTHERS,
    REPORTER,
    SHOWN,
    START,
    UNBONDING,
    Meter,
    million,
)
from tests.protocol.examples import digest

SNAPSHOT = SOURCES / "gas-snapshot.json"
ANCHORS, SLASHINGS = 60, 12
"""How often each is measured, every time with another proof."""
RELAYED = 16
MOST_AN_ANCHOR, MOST_A_SLASHING = 70_000, 75_000
MOST_A_JOB = {1_000: 70.0, 100_000: 1.0}


@dataclass(frozen=True, slots=True)
class Row:
    """What one operation costs, of all the times that it was measured."""

    operation: str
    mean: int
    most: int
    jobs: int = 0
    """Runs that one such transaction covers; 0 where that means nothing."""
    limit: float | None = None
    """Of `per_job` where there is an aim for so many jobs, otherwise of `most`."""

    @property
    def per_job(self) -> float | None:
        return round(self.most / self.jobs, 2) if self.jobs else None

    @property
    def met(self) -> bool:
        limited = self.most / self.jobs if self.jobs in MOST_A_JOB else self.most
        return self.limit is None or limited <= self.limit

    def line(self) -> str:
        """78 columns."""
        share = "" if self.per_job is None else f"{self.per_job:,.2f}"
        limit = "" if self.limit is None else f"{self.limit:,.0f}{' a job' if self.jobs in MOST_A_JOB else ''}"
        verdict = "" if self.limit is None else "ok" if self.met else "MISSED"
        return f"{self.operation:<29}{self.mean:>10,}{self.most:>10,}{share:>10}{limit:>12} {verdict:>6}"


HEADING = f"{'operation':<29}{'mean gas':>10}{'most':>10}{'a job':>10}{'limit':>12} {'':>6}"


def row(operation: str, gas: Sequence[int], jobs: int = 0, limit: float | None = None) -> Row:
    return Row(operation, round(mean(gas)), max(gas), jobs, limit)


def measure(log: Tree) -> list[Row]:
    """All operations, in the order of a node's life."""
    meter = Meter(log)
    registering = [meter.register(NODE), meter.register(NODE)]
    recording = meter.call(NODE, "record", *[digest("anything")] * 3)
    first = meter.anchor(0, MILLION - 1)
    attesting = meter.call(REPORTER, "attest", text(NODE.address), digest("a report"), 7, 950_000, 49_000, 0)
    return [
        row("deploy", [meter.deployed]),
        row("register", registering[:1]),
        row("register again", registering[1:]),
        row("record", [recording], jobs=1),
        row("anchor, first", [first]),
        row("attest", [attesting]),
        *_anchors(meter),
        _relays(meter),
        *_slashings(meter),
        *_challenges(meter),
        *_exit(meter),
    ]


def _anchors(meter: Meter) -> Iterator[Row]:
    yield row("anchor at 10^6", [*_random_anchors(meter)], limit=MOST_AN_ANCHOR)
    for jobs, node in zip((1, 100, 1_000), OTHERS, strict=False):
        meter.register(node)
        gas = list(_anchors_of(meter, jobs, node))
        yield row(f"anchor at 10^6, {jobs:,} more", gas, jobs, MOST_A_JOB.get(jobs, MOST_AN_ANCHOR))
    meter.register(OTHERS[3])
    meter.anchor(0, 1, OTHERS[3])
    news = meter.random.sample(range(MILLION, LOG_SIZE), SLASHINGS)
    gas = meter.each(partial(_large_anchor, meter, 100_000, new, OTHERS[3]) for new in news)
    yield row("anchor at 10^6, 100,000 more", gas, 100_000, MOST_A_JOB[100_000])


def _random_anchors(meter: Meter) -> Iterator[int]:
    old = MILLION - 1
    for new in sorted(meter.random.sample(range(MILLION, LOG_SIZE + 1), ANCHORS)):
        yield meter.anchor(old, new)
        old = new


def _anchors_of(meter: Meter, jobs: int, node: Key) -> Iterator[int]:
    """Anchors of so many entries each, spread over all sizes."""
    head, count = 0, ANCHORS // 2
    step = (LOG_SIZE - MILLION) // count
    for begin in range(MILLION, MILLION + count * step, step):
        old = begin + meter.random.randrange(step - jobs)
        meter.anchor(head, old, node)
        head = old + jobs
        yield meter.anchor(old, head, node)


def _large_anchor(meter: Meter, jobs: int, new: int, node: Key) -> int:
    """The fourth of a node, which writes a slot of the ring as every third does."""
    for old, size in ((1, 2), (2, new - jobs)):
        meter.anchor(old, size, node)
    return meter.anchor(new - jobs, new, node)


def _relays(meter: Meter) -> Row:
    nodes = [Key(digest(f"relayed {number}")) for number in range(RELAYED)]
    orders = []
    for node in nodes:
        meter.register(node)
        old, new = sorted(meter.random.sample(range(MILLION, LOG_SIZE), 2))
        first = sign_relay(meter.domain, node, old, meter.log.root(old), [])
        meter.call(REPORTER, "anchor_many", [astuple(first)])
        orders.append(sign_relay(meter.domain, node, new, meter.log.root(new), meter.log.consistency(old, new)))
    gas = meter.call(REPORTER, "anchor_many", [astuple(order) for order in orders])
    return row(f"anchor_many, each of {RELAYED}", [gas // RELAYED])


def _slashings(meter: Meter) -> Iterator[Row]:
    kinds: tuple[Callable[[Meter], Fault], ...] = (_late, _repaired, _wrong_leaf, _pair, _fork, _not_a_prefix)
    names = ("slash_late", "slash_late, anchored since", "slash_leaf", "slash_pair", "slash_fork", "slash_prefix")
    for name, kind in zip(names, kinds, strict=True):
        gas = meter.each(partial(meter.slash, kind(meter)) for _ in range(SLASHINGS))
        yield row(name, gas, limit=MOST_A_SLASHING)


def _promise(meter: Meter, index: int, due: int, name: str = "promised") -> SignedPromise:
    return meter.speaker.promise(index, digest(name), due)


def _late(meter: Meter) -> LateAnchor:
    return LateAnchor(node=NODE.address, promise=_promise(meter, LOG_SIZE + meter.random.randrange(10**6), START))


def _repaired(meter: Meter) -> LateAnchor:
    (size, _), (_, time) = meter.random.choice(list(pairwise(meter.anchored[-9:])))
    return LateAnchor(node=NODE.address, promise=_promise(meter, size, time - 1))


def _wrong_leaf(meter: Meter) -> WrongLeaf:
    size, _ = meter.anchored[-1]
    index = meter.random.randrange(size)
    path = tuple(meter.log.inclusion(index, size))
    promise = _promise(meter, index, meter.time)
    return WrongLeaf(node=NODE.address, promise=promise, leaf_hash=meter.log.leaf(index), path=path)


def _pair(meter: Meter) -> TwoPromises:
    index = meter.random.randrange(LOG_SIZE)
    first, second = (_promise(meter, index, meter.time, name) for name in ("promised", "promised again"))
    return TwoPromises(node=NODE.address, first=first, second=second)


def _fork(meter: Meter) -> Fork:
    size = meter.random.randrange(1, LOG_SIZE)
    first, second = (meter.speaker.checkpoint(size, digest(name)) for name in ("one root", "another root"))
    return Fork(node=NODE.address, first=first, second=second)


def _not_a_prefix(meter: Meter) -> NotAPrefix:
    head, _ = meter.anchored[-1]
    size = meter.random.randrange(1, head)
    checkpoint = meter.speaker.checkpoint(size, digest("another root"))
    path = tuple(meter.log.consistency(size, head))
    return NotAPrefix(node=NODE.address, checkpoint=checkpoint, true_root=meter.log.root(size), path=path)


def _challenges(meter: Meter) -> Iterator[Row]:
    size, _ = meter.anchored[-1]
    yield row("challenge", [meter.call(REPORTER, "challenge", NODE.address, SHOWN, value=BOND)])
    path = meter.log.inclusion(SHOWN, size)
    yield row("answer", [meter.undone(lambda: meter.call(NODE, "answer", NODE.address, SHOWN, ENTRY, path))])
    meter.time += ANSWER
    yield row("finalize", [meter.call(REPORTER, "finalize", NODE.address, SHOWN)])


def _exit(meter: Meter) -> Iterator[Row]:
    leaving = OTHERS[0].address
    yield row("begin_exit", [meter.call(OPERATOR, "begin_exit", leaving)])
    meter.time += UNBONDING
    yield row("withdraw", [meter.call(OPERATOR, "withdraw", leaving)])


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.contracts.gas", description=__doc__.partition("\n")[0])
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON object")
    form.add_argument("--write", action="store_true", help=f"write {SNAPSHOT.name}")
    chosen = parser.parse_args(arguments)
    rows = measure(million())
    if chosen.write:
        SNAPSHOT.write_text(snapshot(rows))
    elif chosen.json:
        print(json.dumps([{**asdict(found), "per_job": found.per_job, "met": found.met} for found in rows], indent=1))
    else:
        print("\n".join([HEADING, *(found.line() for found in rows)]))
    return 0 if all(found.met for found in rows) else 1


def snapshot(rows: Iterable[Row]) -> str:
    """The file in the repository: mean and most of each operation."""
    return json.dumps({found.operation: {"mean": found.mean, "most": found.most} for found in rows}, indent=1) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
