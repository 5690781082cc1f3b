"""`tallynet audit attribute`: which words of a question made its answer likely."""

from pathlib import Path
from typing import Annotated

import typer

from tallynet.audit.inspection import SourceArgument, holding, read_source
from tallynet.audit.replay_commands import DeviceOption, ModelOption
from tallynet.console.terminal import DebugOption, JsonOption, command
from tallynet.protocol.errors import Misconfigured

MethodOption = Annotated[
    str, typer.Option("--method", help="leave-out, integrated, or auto: leave-out for short prompts.")
]
StepsOption = Annotated[int, typer.Option("--steps", min=1, max=4096, help="Of integrated: passes, more are finer.")]
TokenOption = Annotated[
    int | None,
    typer.Option("--token", min=0, help="This token of the answer alone, from 0. Default: all.", show_default=False),
]
SinceOption = Annotated[int, typer.Option("--since", min=0, help="The answer's tokens from this one on.")]
PageOption = Annotated[
    Path | None, typer.Option("--html", help="Write it as a page, coloured, to this file.", show_default=False)
]
DtypeOption = Annotated[str, typer.Option("--dtype", help="auto, float32, bfloat16 or float16.")]


def attribute(
    source: SourceArgument,
    model: ModelOption,
    method: MethodOption = "auto",
    steps: StepsOption = 32,
    token: TokenOption = None,
    since: SinceOption = 0,
    html: PageOption = None,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "float32",
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Tell which words of the question made this answer likely, from the opened file and the model's own files.

    Warm words made it likely, cold ones spoke against it. It is a measurement on the model, not a reason, and no proof
    that the answer is true.

    Example: tallynet audit attribute answer.tally --model DIR --html why.html
    """
    with command(as_json=as_json, debug=debug) as terminal:
        bundle = holding(read_source(source))
        with terminal.notes.status("Loading…") as status:
            from tallynet.audit.attribution import (
                Wish,
                attribute_run,
                attribution_map,
                describe_attribution,
                print_attribution,
            )
            from tallynet.console.heat import heat_page
            from tallynet.console.page import write_page
            from tallynet.engine.attribution import Method

            known = [one.value for one in Method]
            if method not in ("auto", *known):
                raise Misconfigured(f"There is no method {method!r}.", remedy=f"Choose auto, {' or '.join(known)}.")
            wish = Wish(None if method == "auto" else Method(method), steps, token, since, device, dtype)
            found = attribute_run(bundle, model, wish, status.update)
        if html is not None:
            write_page(heat_page(attribution_map(found)), html)
        print_attribution(terminal.out, found)
        terminal.result(describe_attribution(found))


def add_attribute_commands(app: typer.Typer) -> None:
    app.command("attribute")(attribute)
