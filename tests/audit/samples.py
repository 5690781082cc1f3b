"""Sampling audits as tests need them: valid, of a node that has anchored SIZE entries, and of any outcomes."""

from typing import Any

from tallynet.audit.judgement import Verdict
from tallynet.audit.sample_draw import find_drawn
from tallynet.audit.sample_file import Outcome, SampledRun, SampleReport
from tallynet.audit.sample_statement import sentence, state
from tallynet.ledger.memory import MemoryLedger
from tallynet.protocol.units import prefixed
from tests.audit.examples import DOMAIN, MODEL, NODE, STRANGER

SIZE = 40
OUTCOMES = (Outcome.PASS,) * 20 + (Outcome.NO_CONSENT, Outcome.OTHER_MODEL, Outcome.NOTHING)


async def valid_report(
    ledger: MemoryLedger, outcomes: tuple[Outcome, ...] = OUTCOMES, wanted: int = 20, **changes: Any
) -> SampleReport:
    drawn = await find_drawn(ledger, NODE.address)
    jobs = {index: prefixed(bytes([index]) * 32) for index in range(SIZE)}
    # judged ones last, so that the sample ends where it should
    ordered = sorted(outcomes, key=lambda outcome: outcome.judged)
    runs = tuple(
        SampledRun(index, jobs[index], outcome, "")
        for index, outcome in zip(drawn.draw.indices(len(ordered)), ordered, strict=True)
    )
    stated = state(runs, 950_000)
    fields: dict[str, Any] = {
        "says": sentence(
            stated, changes.get("together", Verdict.PASS), node=prefixed(NODE.address), size=SIZE, wanted=wanted,
            confidence_millionths=950_000,
        ),
        "chain_id": DOMAIN.chain_id,
        "contract": prefixed(DOMAIN.contract),
        "node": prefixed(NODE.address),
        "model": prefixed(MODEL),
        "auditor": prefixed(STRANGER.address),
        "at": 1_800_000_000,
        "size": SIZE,
        "root": prefixed(drawn.anchor.root),
        "anchor_block": drawn.anchor.block,
        "draw_block": drawn.block,
        "block_hash": prefixed(drawn.draw.block_hash),
        "confidence_millionths": 950_000,
        "wanted": wanted,
        "runs": runs,
        "together": Verdict.PASS,
        "at_most_millionths": stated.at_most,
        "at_least_millionths": stated.at_least,
    }  # fmt: skip
    return SampleReport(**{**fields, **changes})
