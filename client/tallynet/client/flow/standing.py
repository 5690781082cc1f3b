"""How far each step of a flow is: in the folder of a run, or in a finished file."""

from pathlib import Path

from tallynet.client.flow.journal import watch_journal
from tallynet.client.flow.progress import StepProgress, StepState
from tallynet.protocol.bundle import read_bundle
from tallynet.protocol.bundle_openings import opened_text
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.flow_calls import Known, Result, Run, advance
from tallynet.protocol.flow_checks import VerifiedFlow
from tallynet.protocol.flow_file import StepRun
from tallynet.protocol.flow_rules import CheckedFlow
from tallynet.protocol.leaf import Leaf

Standing = dict[str, StepProgress]
"""By step."""


def read_run(run: StepRun) -> Run:
    """A finished run, as the next steps see it."""
    bundle = read_bundle(run.bundle)
    return Run(opened_text(bundle.opening) or "", Leaf.unpack(bundle.receipt.leaf).output)


def standing_in(folder: Path, checked: CheckedFlow) -> Standing:
    """Of a run that may be under way. Raises `Misconfigured` for the folder of another flow, or of none."""
    with watch_journal(folder) as journal:
        start, finished, handed = journal.begun(), journal.runs(), journal.handed()
    if start is None or start.plan.flow != checked.flow:
        raise Misconfigured(
            f"The flow in {folder} is another one.", remedy="Name the definition with which it was begun."
        )
    known, standing = Known(start.values), {}
    for name in checked.steps:
        runs = [read_run(run) for run in sorted(finished, key=lambda run: run.place) if run.step == name]
        standing[name] = _progress(checked, name, known, runs, name in handed)
    return standing


def standing_of(verified: VerifiedFlow) -> Standing:
    """Of a finished file."""
    return {
        step.name: StepProgress(step.name, StepState.DONE, len(step.runs), len(step.runs), step.result.said)
        for step in verified.steps
    }


def _progress(checked: CheckedFlow, name: str, known: Known, runs: list[Run], handed: bool) -> StepProgress:
    """Also enters the result of a finished step among what is known."""
    if any(parent not in known.results for parent in checked.parents(name)):
        return StepProgress(name, StepState.WAITING)
    asked = 0
    while not isinstance(found := advance(checked, name, known, runs[:asked]), Result):
        asked += len(found)
        if asked > len(runs):
            return StepProgress(name, StepState.RUNNING if handed else StepState.WAITING, len(runs), asked)
    known.results[name] = found
    return StepProgress(name, StepState.DONE, len(runs), len(runs), found.said)
