"""(6) What a sampling audit came to, written on the chain, where nobody can take it back or hide it.

The contract takes any statement of anybody; that this one is a report's, and its auditor's, is looked at here.
"""

from tallynet.audit.sample_file import SampleReport, unhexed
from tallynet.ledger.ledger import Attestation, Ledger, SampleBounds
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.keys import Key
from tallynet.protocol.units import Address, prefixed


def bounds_of(report: SampleReport) -> SampleBounds:
    """What the contract's event says of a report."""
    return SampleBounds(
        report.digest,
        report.size,
        report.confidence_millionths,
        report.at_most_millionths,
        report.at_least_millionths,
    )


async def attest(report: SampleReport, ledger: Ledger, key: Key) -> Attestation:
    """Write it, or find it where it stands already. Raises `Misconfigured` for a key that is not its auditor's,
    `Refused`, `ChainUnreachable`."""
    if prefixed(key.address) != report.auditor:
        raise Misconfigured(
            f"This report is by {report.auditor}, the key is that of {prefixed(key.address)}.",
            remedy="Name the auditor's own key with --keystore: it signed the report, and pays the gas.",
        )
    return await ledger.attest(key, _node(report), bounds_of(report))


async def find_attestation(report: SampleReport, ledger: Ledger) -> Attestation | None:
    """The event by which the auditor wrote exactly this report on the chain; None while there is none."""
    auditor, said = Address(unhexed(report.auditor)), bounds_of(report)
    found = await ledger.attestations(_node(report), from_block=report.anchor_block)
    return next((one for one in found if (one.auditor, one.bounds) == (auditor, said)), None)


def _node(report: SampleReport) -> Address:
    return Address(unhexed(report.node))
