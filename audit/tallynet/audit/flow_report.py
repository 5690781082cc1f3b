"""How the audit of a flow is told: to people in 80 columns, to programs as one JSON object."""

from textwrap import fill

from rich.console import Console
from rich.text import Text

from tallynet.audit.conversation import excerpt
from tallynet.audit.flow_audit import FlowVerification
from tallynet.audit.report import COLOURS, MARKS, print_check
from tallynet.audit.verdict import Verdict
from tallynet.protocol.flow import TaskWords
from tallynet.protocol.flow_checks import CheckedResult
from tallynet.protocol.flow_template import Value
from tallynet.protocol.units import Wei, prefixed, short

EXCERPT = 56
"""Characters of a result shown."""
STEP_EXCERPT = 44
NAME_WIDTH = 48

NOT_PROVEN = (
    "that an answer is true, or that its model gave it: no run was replayed",
    "that the client did not run the flow before, and keep another outcome to itself",
    "that the models are the ones you think of: a name is what their nodes call them",
)
"""What no flow file shows, each as the end of the sentence "it is not proven …"."""


def print_step(out: Console, step: CheckedResult) -> None:
    """One step that holds: its runs, how it was decided, or else what it gives."""
    mark, colour = MARKS[step.prompts]
    runs = "1 run " if len(step.runs) == 1 else f"{len(step.runs)} runs"
    gives = step.result.said or excerpt(shown(step.result.value), STEP_EXCERPT)
    line = Text("  ").append(mark, style=colour).append(f" {step.name:<18} {runs:<8} ")
    out.print(line.append(gives, style="dim"), soft_wrap=True)


def print_flow(out: Console, found: FlowVerification, trust: str, remark: str) -> None:
    """What follows the steps: the checks, the verdict, the result, what is trusted and what is not proven."""
    for line in found.results:
        print_check(out, line, NAME_WIDTH)
    out.print(
        Text(f"\n{found.verdict.upper()} ", style=COLOURS[found.verdict]).append(conclusion(found), style="default")
    )
    if found.failure is not None:
        out.print(Text(found.failure.remedy))
    if found.flow is not None:
        out.print(
            Text("  result    ", style="dim").append(excerpt(shown(found.flow.result.value), EXCERPT), style="default")
        )
        out.print(Text("  plan      ", style="dim").append(prefixed(found.flow.plan), style="default"), soft_wrap=True)
    if remark:
        out.print(Text(remark))
    _print_list(out, "Trusted:", (trust,))
    if found.failure is None:
        _print_list(out, "NOT proven:", not_proven(found))


def conclusion(found: FlowVerification) -> str:
    """One sentence on the whole."""
    if found.failure is not None:
        return f"at check {found.failure}"
    if found.verdict is Verdict.OK:
        return "Every check that was made holds: each answer builds on those that the definition names."
    return "Nothing is wrong so far; some runs are not anchored yet."


def not_proven(found: FlowVerification) -> tuple[str, ...]:
    """What this flow file does not show: each as the end of the sentence "it is not proven …"."""
    unchecked = found.words.unchecked if found.words else {}
    return (*NOT_PROVEN, *(f"that step {name!r} has the words of {_named(task)}" for name, task in unchecked.items()))


def _named(task: TaskWords) -> str:
    return f"{task.template}: no template with the digest {short(task.digest)} ships with this version"


def shown(value: Value) -> str:
    return value if isinstance(value, str) else " | ".join(value)


def describe_flow(found: FlowVerification, trust: str, saved: bool) -> dict[str, object]:
    """The JSON object of `tallynet audit flow`."""
    failure, plan = found.failure, found.flow.plan if found.flow else None
    return {
        "verdict": found.verdict,
        "reason": conclusion(found),
        "failed_check": failure.check if failure else None,
        "failed_step": failure.step if failure else None,
        "checks": [
            {"number": line.number, "name": line.name, "state": line.state, "detail": line.detail}
            for line in found.results
        ],
        "flow": found.flow.file.plan.flow.name if found.flow else None,
        "plan": prefixed(plan) if plan else None,
        "steps": [{**_describe_step(step), "template": _describe_words(step.name, found)} for step in found.steps],
        "result": found.flow.result.value if found.flow else None,
        "price_wei": str(Wei(sum(step.price for step in found.steps))) if found.flow else None,
        "trusted": trust,
        "not_proven": [] if failure else list(not_proven(found)),
        "upgraded": saved,
    }


def _describe_step(step: CheckedResult) -> dict[str, object]:
    return {
        "name": step.name,
        "prompts": step.prompts,
        "decided": step.result.said,
        "result": step.result.value,
        "runs": [
            {
                "job": prefixed(run.leaf.job),
                "node": prefixed(run.bundle.node),
                "model": prefixed(run.leaf.model),
                "parents": [prefixed(parent) for parent in run.bundle.job.job.parents],
                "output": prefixed(run.leaf.output),
                "price_wei": str(run.leaf.price),
                "anchored": run.anchored,
            }
            for run in step.runs
        ],
    }


def _describe_words(step: str, found: FlowVerification) -> dict[str, object] | None:
    task = found.words.tasks.get(step) if found.words else None
    if found.words is None or task is None:
        return None
    return {"name": task.template, "digest": prefixed(task.digest), "checked": found.words.states[step]}


def _print_list(out: Console, title: str, items: tuple[str, ...]) -> None:
    out.print(title)
    for item in items:
        out.print(Text(fill(item, width=out.width, initial_indent="  - ", subsequent_indent="    ")))
