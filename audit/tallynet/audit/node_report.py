"""How the audit of a whole log is told: to people in 80 columns, to programs as one JSON object."""

from textwrap import fill

from rich.console import Console
from rich.text import Text

from tallynet.audit.node_audit import NodeAudit, NodeVerdict
from tallynet.protocol.units import ZERO_DIGEST, prefixed

OPEN_QUESTIONS = (
    "that the answers are right: none was replayed",
    "that no run was kept out of the log: `tallynet audit mine` looks for yours",
)


def print_audit(out: Console, audit: NodeAudit) -> None:
    """The outcome of a node audit."""
    style = "bold green" if audit.verdict is NodeVerdict.PASS else "bold red"
    if audit.discarded:
        out.print(Text(f"The earlier audit was thrown away: {audit.discarded}."))
    out.print(Text(f"{audit.verdict} ", style=style).append(f"node {prefixed(audit.node)}", style="default"))
    for label, value in (
        ("entries", f"{audit.entries_checked:,} of {audit.size:,} checked in {_duration(audit)}"),
        ("anchors", f"{audit.anchors_checked} checked"),
        ("tail", f"{audit.unanchored} not anchored yet"),
        ("root", prefixed(audit.root or ZERO_DIGEST)),
    ):
        out.print(Text(f"  {label:<8} ", style="dim").append(value, style="default"), soft_wrap=True)
    if audit.resumed_from:
        out.print(Text(f"The first {audit.resumed_from:,} entries were checked by an earlier audit."))
    if audit.failure is not None:
        out.print(Text(f"At check {audit.reason}", style="red"))
        out.print(Text(audit.failure.remedy))
        return
    out.print("NOT proven:")
    for question in OPEN_QUESTIONS:
        out.print(Text(fill(question, width=out.width, initial_indent="  - ", subsequent_indent="    ")))


def describe_audit(audit: NodeAudit) -> dict[str, object]:
    """The JSON object of `tallynet audit node`."""
    return {
        "verdict": audit.verdict,
        "node": prefixed(audit.node),
        "entries_checked": audit.entries_checked,
        "anchors_checked": audit.anchors_checked,
        "head": {"size": audit.size, "root": prefixed(audit.root) if audit.root else None},
        "unanchored": audit.unanchored,
        "failed_check": audit.failure.check if audit.failure else None,
        "reason": audit.reason,
        "fault": type(audit.fault).__struct_config__.tag if audit.fault else None,
        "resumed_from": audit.resumed_from,
        "discarded": audit.discarded,
        "seconds": round(audit.seconds, 3),
        "cpu_seconds": round(audit.cpu_seconds, 3),
    }


def _duration(audit: NodeAudit) -> str:
    return f"{audit.seconds:.1f} s, {audit.cpu_seconds:.1f} s of one core"
