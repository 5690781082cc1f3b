"""How an evaluation is told by whoever made it: to people in 80 columns, to programs as one JSON object."""

from textwrap import fill
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from tallynet.client.display import plain
from tallynet.client.evaluate.comparison import Comparison
from tallynet.evaluation.table import bias_remarks, describe_evaluation, describe_metric, metrics_table
from tallynet.protocol.units import prefixed

if TYPE_CHECKING:
    from tallynet.client.evaluate.commands import Outcome

CAUTION = (
    "The numbers are about these questions and this model. They say nothing about how it answers others, and a small "
    "bias probe that sees no difference does not show that there is none."
)


def print_outcome(out: Console, outcome: "Outcome", compared: Comparison | None) -> None:
    """The numbers, where they are kept, and what an earlier evaluation had."""
    evaluation = outcome.report.evaluation
    suite, nodes = evaluation.suite, len(evaluation.nodes)
    some = f" ({evaluation.limit} items a part)" if evaluation.limit else ""
    out.print(Text(f"{suite.name} {suite.version}{some} on {plain(evaluation.model_name)}", style="bold"))
    out.print(metrics_table(evaluation))
    for remark in bias_remarks(evaluation):
        out.print(remark)
    out.print(Text(fill(CAUTION, out.width), style="dim"))
    if compared is not None:
        _print_comparison(out, compared)
    runs = f"{len(evaluation.runs)} runs on {nodes} node{'s' * (nodes > 1)}"
    state = "anchored" if outcome.anchored else "not anchored yet"
    out.print(Text(f"\n{runs}, {state}."))
    out.print(Text(f"Digest: {prefixed(evaluation.digest)}"), soft_wrap=True)
    out.print(Text(f"Report: {outcome.place}"), soft_wrap=True)
    out.print(Text(f"Check:  tallynet audit verify {outcome.place}", style="dim"), soft_wrap=True)


def describe_outcome(outcome: "Outcome", compared: Comparison | None) -> dict[str, object]:
    """The JSON object of `tallynet evaluate`."""
    told: dict[str, object] = {
        **describe_evaluation(outcome.report.evaluation),
        "report": str(outcome.place),
        "evidence": "anchored" if outcome.anchored else "signed",
    }
    if compared is not None:
        told["compared"] = {
            "same": compared.same,
            "of": compared.of,
            "agrees": compared.agrees,
            "apart": [describe_metric(metric) for metric in compared.apart],
        }
    return told


def _print_comparison(out: Console, compared: Comparison) -> None:
    style = "green" if compared.agrees else "bold red"
    said = f"{compared.same} of {compared.of} outcomes are those of the earlier report"
    apart = ", ".join(f"{metric.part} {metric.kind}" for metric in compared.apart)
    out.print(Text(f"{said}; {f'apart: {apart}' if apart else 'every number agrees'}.", style=style))
