"""`tallynet calibrate`: thresholds for the replays of one model, with the measurements they follow from."""

from pathlib import Path
from typing import Annotated

import typer

from tallynet.console.terminal import FAILED, DebugOption, JsonOption, command

ModelOption = Annotated[Path, typer.Option("--model", help="Directory with the model's files.", show_default=False)]
OutOption = Annotated[
    Path | None, typer.Option("-o", "--out", help="Where the file goes; it keeps every score.", show_default=False)
]
RunsOption = Annotated[int, typer.Option("--runs", min=4, help="Runs in every cell of the matrix.")]
TokensOption = Annotated[int, typer.Option("--max-tokens", min=16, help="Most tokens of a run.")]
DtypesOption = Annotated[str, typer.Option("--dtypes", help="Number formats, separated by commas.")]
PromptsOption = Annotated[
    Path | None, typer.Option("--prompts", help="File with one prompt a line. Default: ours.", show_default=False)
]


def calibrate(
    model: ModelOption,
    out: OutOption = None,
    runs: RunsOption = 24,
    max_tokens: TokensOption = 96,
    dtypes: DtypesOption = "float32,bfloat16",
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1 or mps.")] = "cpu",
    prompts: PromptsOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Measure how far honest runs of a model are from their replays here, and how far attacks are.

    Number format, attention kernel, generations in one step and threads vary. Thresholds follow from one half of the
    prompts and are tried on the other. Exits 1 when an honest run of that half would FAIL.

    Example: tallynet calibrate --model DIR -o thresholds.json
    """
    with command(as_json=as_json, debug=debug) as terminal:
        with terminal.notes.status("Loading…") as status:
            import msgspec

            from tallynet.audit.calibration import PROMPTS, Plan
            from tallynet.audit.calibration import calibrate as measure
            from tallynet.audit.calibration_report import describe_calibration, print_calibration
            from tallynet.devnet.cheats.engine_kinds import ATTACKS

            asked = prompts.read_text().splitlines() if prompts else PROMPTS
            plan = Plan(tuple(dtypes.split(",")), runs, max_tokens, device)
            found = measure(model, plan, status.update, attacks=ATTACKS, prompts=asked)
        if out is not None:
            out.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
        print_calibration(terminal.out, found)
        described = describe_calibration(found)
        terminal.result(described)
        if described["honest_fail"]:
            raise typer.Exit(FAILED)
