"""How trials of evidence, challenges and comparisons are told to people; as JSON where it is not told elsewhere."""

from pathlib import Path

from rich.console import Console
from rich.text import Text

from tallynet.audit.challenging import Asking, Closing
from tallynet.audit.contradictions import Comparison
from tallynet.audit.evidence import describe_fault
from tallynet.audit.slashing import Trial
from tallynet.console.moments import moment
from tallynet.protocol.units import Wei, prefixed


def print_trial(out: Console, trial: Trial) -> None:
    slashing = trial.slashing
    out.print(Text(describe_fault(trial.fault)))
    if slashing is None:
        out.print(Text("REFUSED ", style="bold red").append(f"The contract says: {trial.refusal}.", style="default"))
        if trial.detail:
            out.print(Text(trial.detail))
        out.print(Text(trial.remedy))
        return
    said = "The contract has taken its stake." if trial.sent else "The contract would take its stake."
    out.print(Text(f"{trial.verdict.upper()} ", style="bold green").append(said, style="default"))
    rows = [("fault", f"{trial.kind.name.lower()}, number {int(trial.kind)}"), ("reward", _amount(slashing.reward))]
    rows += [("burnt", _amount(slashing.burnt)), ("gas", f"{slashing.gas:,}" + ("" if trial.sent else ", estimated"))]
    if trial.renewed:
        rows.append(("proof", "renewed from the node's log: the anchored head has grown"))
    if trial.sent:
        rows.append(("sent", f"{prefixed(slashing.transaction)} in block {slashing.block}"))
    _print_rows(out, rows)
    if not trial.sent:
        out.print(Text("Nothing was sent: --send --keystore FILE does."))


def print_asking(out: Console, asking: Asking) -> None:
    entry = f"entry {asking.index} of node {prefixed(asking.node)}"
    posted = asking.challenge
    if asking.refusal:
        said = f"The contract would say: {asking.refusal}."
        out.print(Text("REFUSED ", style="bold red").append(said, style="default"))
    elif asking.shown:
        out.print(Text("SHOWN ", style="bold green").append(f"{entry}: there is nothing to ask for.", style="default"))
    else:
        out.print(Text("WITHHELD ", style="bold red").append(entry, style="default"))
        rows = [("answer", asking.withheld), ("bond", f"{_amount(asking.bond)}, the node's if it answers")]
        if posted is not None:
            rows.append(("until", f"{moment(posted.answer_by)}; then `tallynet audit finalize`"))
        _print_rows(out, rows)
        out.print(Text("Asked in public." if posted else "Nothing was sent: --send --keystore FILE does."))


def print_closing(out: Console, closing: Closing) -> None:
    asked = closing.challenge
    entry = f"entry {closing.index} of node {prefixed(closing.node)}"
    if asked is None:
        out.print(Text("REFUSED ", style="bold red").append(f"No challenge is open for {entry}.", style="default"))
    elif not closing.over:
        out.print(
            Text("PENDING ", style="bold yellow").append(f"{entry} may be shown until {moment(asked.answer_by)}.")
        )
    else:
        said = "was not shown, and the stake is taken." if closing.slashing else "was not shown in time."
        out.print(Text("WITHHELD ", style="bold red").append(f"{entry} {said}", style="default"))
        reward = closing.slashing.reward if closing.slashing else closing.reward
        _print_rows(out, [("bond", f"{_amount(asked.bond)}, returned"), ("reward", _amount(reward))])
        if closing.slashing is None:
            out.print(Text("Nothing was sent: --send --keystore FILE does."))


def print_comparison(out: Console, found: Comparison, output: Path | None) -> None:
    if found.fault is not None:
        out.print(Text("CONTRADICTION ", style="bold red").append(describe_fault(found.fault), style="default"))
        written = f"Evidence written: {output}." if output else "-o FILE writes the evidence."
        out.print(Text(f"{written} Then `tallynet audit slash`."), soft_wrap=True)
        return
    said = "Both can be true together." if found.compared else "There is nothing to compare."
    out.print(Text("NONE ", style="bold green").append(said, style="default"))
    _print_rows(out, [("compared", line) for line in found.compared])
    if found.unsettled:
        _print_rows(out, [("open", found.unsettled)])


def describe_comparison(found: Comparison, output: Path | None) -> dict[str, object]:
    fault = found.fault
    return {
        "contradiction": fault is not None,
        "kind": type(fault).__struct_config__.tag if fault else None,
        "says": describe_fault(fault) if fault else "",
        "compared": list(found.compared),
        "unsettled": found.unsettled,
        "evidence": str(output) if fault and output else None,
    }


def _print_rows(out: Console, rows: list[tuple[str, str]]) -> None:
    for label, value in rows:
        out.print(Text(f"  {label:<9} ", style="dim").append(value, style="default"), soft_wrap=True)


def _amount(wei: Wei) -> str:
    return f"{wei:,} wei"
