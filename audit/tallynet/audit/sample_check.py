"""(6) Somebody else's sampling audit: does it follow from its own runs, and were those the runs that the chain drew?

That a run passes or fails is its auditor's word; whoever has the model takes the same sample again.
"""

from tallynet.audit.sample_draw import DrawnLog, find_drawn
from tallynet.audit.sample_file import SampleReport, unhexed
from tallynet.audit.sample_statement import sentence, state
from tallynet.ledger.ledger import Ledger
from tallynet.protocol.errors import InvalidReport, Misconfigured
from tallynet.protocol.units import Address, prefixed


def check_statement(report: SampleReport) -> None:
    """Raises `InvalidReport` unless the numbers and words follow from the runs."""
    stated = state(report.runs, report.confidence_millionths)
    # (3) its bounds follow from its runs, up to one millionth
    bounds = (report.at_most_millionths, report.at_least_millionths)
    if any(abs(said - true) > 1 for said, true in zip(bounds, (stated.at_most, stated.at_least), strict=True)):
        raise InvalidReport(f"it states the bounds {bounds}, its runs give {stated.at_most, stated.at_least}", check=3)
    true = sentence(
        stated, report.together, node=report.node, size=report.size, wanted=report.wanted,
        confidence_millionths=report.confidence_millionths,
    )  # fmt: skip
    # (4) it says in words what its numbers say
    if report.says != true:
        raise InvalidReport(f"it says {report.says!r}, its runs say {true!r}", check=4)


async def check_draw(report: SampleReport, ledger: Ledger) -> None:
    """Raises `InvalidReport` unless its runs are those that the chain drew, `ChainUnreachable`, `Pending`."""
    # (5) it is about this chain and contract
    if report.domain != ledger.domain:
        raise InvalidReport(f"it is about {report.domain}, the network is {ledger.domain}", check=5)
    drawn = await _drawn(report, ledger)
    _check_anchor(report, drawn)
    indices = drawn.draw.indices(len(report.runs))
    listed = tuple(run.index for run in report.runs)
    # (7) its runs are the first that the block drew, in order, none left out
    if listed != indices:
        at = next(
            (at for at, pair in enumerate(zip(listed, indices, strict=False)) if pair[0] != pair[1]), len(indices)
        )
        raise InvalidReport(f"its run number {at} is not the entry that the block drew as number {at}", check=7)
    judged, most = sum(run.outcome.judged for run in report.runs), min(report.size, len(drawn.draw.indices()))
    # (8) it stopped when enough runs were judged, or when nothing more was drawn
    if judged > report.wanted or (judged < report.wanted and len(report.runs) < most):
        raise InvalidReport(
            f"it stopped after {len(report.runs)} of {most} entries with {judged} of {report.wanted} runs judged",
            check=8,
        )


async def _drawn(report: SampleReport, ledger: Ledger) -> DrawnLog:
    try:
        return await find_drawn(ledger, Address(unhexed(report.node)), report.size)
    except Misconfigured as error:
        raise InvalidReport(f"the chain knows no such anchor: {error.message}", check=6) from error


def _check_anchor(report: SampleReport, drawn: DrawnLog) -> None:
    said = (report.root, report.anchor_block, report.draw_block, report.block_hash)
    true = (prefixed(drawn.anchor.root), drawn.anchor.block, drawn.block, prefixed(drawn.draw.block_hash))
    # (6) anchor and block are those of the chain
    if said != true:
        raise InvalidReport(f"it names anchor and block {said}, the chain has {true}", check=6)
