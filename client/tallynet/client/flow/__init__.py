"""Flows: graphs of questions over several models and nodes, each answer on the record of those that it builds on.

    flow = Flow("capitals", inputs={"country": Kind.TEXT}, steps={
        "capital": Step(model="tally-tiny", prompt="What is the capital of {{ country }}?"),
        "french": task_step("translate", "tally-tiny", {"text": "{{ capital|trim }}", "to": "fr"}),
    })
    with Client() as client:
        finished = client.run_flow(flow, {"country": "Japan"}, state="D")
    finished.save("capitals.flow.tally")

In reading order: the definition and what follows from it are `tallynet.protocol.flow*`; `definition` reads YAML,
`task_steps` puts steps into the words of prompt templates, `inputs` is what a flow is given; `runner` is the spine,
over `jobs` and `journal`; `anchors` and `saving` make the file; `standing`, `layers` and `picture` show how far a flow
is; `source`, `display` and `commands` are the command line.
"""

from tallynet.client.flow.definition import parse_definition, read_definition
from tallynet.client.flow.progress import StepProgress, StepState
from tallynet.client.flow.runner import FinishedFlow, FlowOptions, run_flow
from tallynet.client.flow.task_steps import task_step
from tallynet.protocol.flow import Choice, Critic, Flow, Kind, Map, Reduce, Split, Step, Vote

__all__ = [
    "Choice",
    "Critic",
    "FinishedFlow",
    "Flow",
    "FlowOptions",
    "Kind",
    "Map",
    "Reduce",
    "Split",
    "Step",
    "StepProgress",
    "StepState",
    "Vote",
    "parse_definition",
    "read_definition",
    "run_flow",
    "task_step",
]
