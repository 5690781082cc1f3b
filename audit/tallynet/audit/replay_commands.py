"""`tallynet audit replay`: make a run again and say whether it was honest."""

from pathlib import Path
from typing import Annotated

import typer

from tallynet.audit.inspection import SourceArgument, holding, read_source
from tallynet.console.terminal import DONE, FAILED, PENDING, DebugOption, JsonOption, command

ModelOption = Annotated[Path, typer.Option("--model", help="Directory with the model's files.", show_default=False)]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1 or mps.")]
DtypeOption = Annotated[
    str, typer.Option("--dtype", help="auto, float32, bfloat16 or float16, where the node's own is not known.")
]
ThresholdsOption = Annotated[
    Path | None,
    typer.Option("--thresholds", help="File of `tallynet calibrate`. Default: ours.", show_default=False),
]
ExactOption = Annotated[
    bool, typer.Option("--exact/--no-exact", help="Decode again, bit by bit, where the environments match.")
]
ContextOption = Annotated[
    int | None,
    typer.Option("--context-length", help="If the node lowered the model's own, in tokens.", show_default=False),
]


def replay(
    source: SourceArgument,
    model: ModelOption,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    thresholds: ThresholdsOption = None,
    exact: ExactOption = True,
    context_length: ContextOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Make a run again with one prefill, and say whether it was honest: the model, the prompt, the sampler, the end.

    Exits 0 when all of it follows from model, seed and parameters, 1 when it does not or the file is not sound, 2
    when it can't be tried, 3 when an honest run would seldom look like that: ask a second auditor.

    Example: tallynet audit replay answer.tally --model DIR
    """
    with command(as_json=as_json, debug=debug) as terminal:
        bundle = holding(read_source(source))
        with terminal.notes.status("Loading…") as status:
            from tallynet.audit.judgement import Verdict
            from tallynet.audit.replay import Bench, Terms
            from tallynet.audit.replay_report import describe_replay, print_replay
            from tallynet.audit.thresholds import read_thresholds

            terms = Terms(device, dtype, exact, context_length)
            replayed = Bench(model, read_thresholds(thresholds), terms).replay(bundle, status.update)
        print_replay(terminal.out, replayed)
        terminal.result(describe_replay(replayed))
        codes = {Verdict.PASS: DONE, Verdict.SUSPECT: PENDING, Verdict.FAIL: FAILED}
        raise typer.Exit(codes[replayed.judgement.verdict])


def add_replay_commands(app: typer.Typer) -> None:
    app.command("replay")(replay)
