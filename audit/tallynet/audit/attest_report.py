"""How attestations are told: to people in 80 columns, to programs as JSON objects."""

from collections.abc import Sequence
from textwrap import fill

from rich.console import Console
from rich.text import Text

from tallynet.audit.sample_file import SampleReport
from tallynet.console.moments import moment
from tallynet.ledger.ledger import Attestation, SampleBounds
from tallynet.protocol.units import prefixed


def print_attesting(out: Console, report: SampleReport, found: Attestation | None) -> None:
    """One report: what is written of it, or what would be."""
    if found is not None:
        out.print(Text("ATTESTED ", style="bold green").append(_where(found), style="default"), soft_wrap=True)
    else:
        out.print(Text("NOT ATTESTED ", style="yellow").append("nothing was sent", style="default"))
    out.print(Text(fill(report.says, width=out.width)))
    out.print(Text(f"  digest    {prefixed(report.digest)}", style="dim"), soft_wrap=True)
    if found is None:
        out.print("The report holds and can be written on the chain: give --send.")


def print_attestations(out: Console, found: Sequence[Attestation]) -> None:
    """All of one node, two lines each."""
    if not found:
        out.print("Nobody has attested anything of this node.")
    for one in found:
        said = one.bounds
        least = f"at least {_percent(said.at_least_millionths)}, " if said.at_least_millionths else ""
        out.print(
            f"{least}at most {_percent(said.at_most_millionths)} of {said.size:,} entries bad,"
            f" {_percent(said.confidence_millionths)} sure",
            highlight=False,
        )
        out.print(Text(f"  by {prefixed(one.auditor)}, {_where(one)}", style="dim"), soft_wrap=True)
        out.print(Text(f"  report {prefixed(said.report)}", style="dim"), soft_wrap=True)


def describe_attesting(report: SampleReport, found: Attestation | None) -> dict[str, object]:
    """The JSON object of `tallynet audit attest`."""
    return {
        "attested": found is not None,
        "report": prefixed(report.digest),
        "says": report.says,
        "attestation": describe_attestation(found) if found else None,
    }


def describe_attestation(one: Attestation) -> dict[str, object]:
    """One event as a JSON object."""
    return {
        "node": prefixed(one.node),
        "auditor": prefixed(one.auditor),
        **_numbers(one.bounds),
        "time": one.time,
        "block": one.block,
        "transaction": prefixed(one.transaction),
        "gas": one.gas,
    }


def _numbers(said: SampleBounds) -> dict[str, object]:
    return {
        "report": prefixed(said.report),
        "size": said.size,
        "confidence_percent": said.confidence_millionths / 10_000,
        "at_most_percent": said.at_most_millionths / 10_000,
        "at_least_percent": said.at_least_millionths / 10_000,
    }


def _where(one: Attestation) -> str:
    return f"in block {one.block}, {moment(one.time)}, for {one.gas:,} gas"


def _percent(millionths: int) -> str:
    return f"{millionths / 10_000:g} %"
