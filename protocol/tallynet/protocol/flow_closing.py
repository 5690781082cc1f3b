"""(7) A flow file that keeps some inputs to itself: their values are left out, and so are the questions that hold them.

What every other step was asked, and what all of them answered, stays open: an answer that repeats a closed input
gives it away. The commitment stays in the plan, so that the file with the input opened is the same run of the flow.
"""

from collections.abc import Collection
from dataclasses import replace

from tallynet.protocol.bundle import Bundle, read_bundle, write_bundle
from tallynet.protocol.bundle_openings import Part, Whole, open_part
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.flow_file import FlowFile, StepRun
from tallynet.protocol.flow_rules import check_flow, closable


def close_inputs(file: FlowFile, names: Collection[str]) -> FlowFile:
    """The file without the values of these inputs. Raises `Misconfigured` for one that cannot be closed."""
    flow = file.plan.flow
    for name in names:
        if name not in flow.inputs:
            raise Misconfigured(
                f"The flow has no input {name!r}.", remedy=f"It has {', '.join(flow.inputs) or 'none'}."
            )
        if not closable(flow, name):
            raise Misconfigured(
                f"How many jobs the flow takes follows from the input {name!r}: it cannot be closed.",
                remedy="Close another, or keep the file to yourself.",
            )
    asked = {name for name, step in check_flow(flow).steps.items() if step.names & set(names)}
    runs = tuple(_without_question(run) if run.step in asked else run for run in file.runs)
    opened = {name: known for name, known in file.opened.items() if name not in names}
    return replace(file, opened=opened, runs=runs)


def _without_question(run: StepRun) -> StepRun:
    bundle = read_bundle(run.bundle)
    return replace(run, bundle=write_bundle(_answer_only(bundle)).encode())


def _answer_only(bundle: Bundle) -> Bundle:
    opening = bundle.opening
    if isinstance(opening, Whole):
        opening = open_part(opening, range(len(opening.chunks)))
    elif isinstance(opening, Part):
        opening = open_part(opening, opening.opened)
    return replace(bundle, opening=opening)
