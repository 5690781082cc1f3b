"""All figures of the ledger: what a node does with a run once it is over, and what an auditor does with it then."""

from collections.abc import Callable
from pathlib import Path

from tallynet.devnet.bench.audit import measure_audit
from tallynet.devnet.bench.bundle import measure_bundle
from tallynet.devnet.bench.proofs import measure_proofs
from tallynet.devnet.bench.receipts import AT_ONCE, measure_receipts
from tallynet.devnet.bench.report import Row, within

LEAST_RECEIPTS = 2_000
"""Durable receipts a second."""


async def measure_ledger(folder: Path, say: Callable[[str], None], *, quick: bool) -> list[Row]:
    """All rows; logs go to `folder`. `quick` does everything once, small."""
    rounds = 1 if quick else 3
    say("receipts…")
    receipts = await measure_receipts(folder / "receipts", rounds, AT_ONCE if quick else 64 * AT_ONCE)
    rows = [within(receipts, f"≥ {LEAST_RECEIPTS}", receipts.figure >= LEAST_RECEIPTS)]
    say("proofs…")
    rows += measure_proofs(rounds, 100 if quick else 20_000)
    say("a bundle in a large log…")
    rows.append(measure_bundle(2**8 if quick else 2**20))
    say("an audit…")
    rows.append(await measure_audit(folder / "audit", 100 if quick else 20_000))
    return rows
