"""`tallynet flow`: run a flow of questions over several models, go on with it after a crash, draw it, show it."""

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from tallynet.client.blocking import Client
from tallynet.client.display import money, write
from tallynet.client.flow.anchors import anchored_runs
from tallynet.client.flow.definition import read_definition
from tallynet.client.flow.display import (
    StepBoard,
    definition_table,
    describe_definition,
    describe_finished,
    describe_results,
    finished_table,
    shown,
)
from tallynet.client.flow.inputs import read_inputs
from tallynet.client.flow.picture import draw_mermaid, draw_svg
from tallynet.client.flow.runner import AT_ONCE, DEADLINE_SECONDS, FinishedFlow, FlowOptions
from tallynet.client.flow.source import Source, read_source
from tallynet.client.flow.standing import Standing, standing_in, standing_of
from tallynet.console.folders import state_folder
from tallynet.console.terminal import DebugOption, JsonOption, NetworkOption, Terminal, command
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.flow_file import FLOW_SUFFIX
from tallynet.protocol.flow_rules import closable

flow_app = typer.Typer(
    name="flow", help="Chains of questions over several models, on the record.", no_args_is_help=True
)

ANCHOR_WAIT_SECONDS = 10.0

DefinitionArgument = Annotated[Path, typer.Argument(metavar="FILE", help="The flow, in YAML.", show_default=False)]
SourceArgument = Annotated[
    Path, typer.Argument(metavar="FILE", help="The flow, in YAML or .flow.tally.", show_default=False)
]
InputOption = Annotated[
    list[str] | None,
    typer.Option("--input", "-i", metavar="NAME=VALUE", help="An input; NAME=@FILE reads it.", show_default=False),
]
StateOption = Annotated[
    Path | None,
    typer.Option(
        "--state", metavar="DIR", help="What is finished is kept here. Default: a new place.", show_default=False
    ),
]
DrawStateOption = Annotated[
    Path | None, typer.Option("--state", metavar="DIR", help="Show how far the run here is.", show_default=False)
]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Go on with what was begun in the folder.")]
OutputOption = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="FILE", help="Default: NAME.flow.tally.", show_default=False)
]
PictureOption = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="FILE", help="Default: stdout.", show_default=False)
]
CloseOption = Annotated[
    list[str] | None,
    typer.Option("--close", metavar="NAME", help="Leave this input's value out of the file.", show_default=False),
]
AtOnceOption = Annotated[int, typer.Option("--at-once", min=1, max=256, help="Jobs under way at a time.")]
PriceOption = Annotated[
    int | None, typer.Option("--max-price", min=0, help="Ceiling of each job in wei.", show_default=False)
]
DeadlineOption = Annotated[float, typer.Option("--deadline", min=1, help="Seconds for each job.")]
AnchorOption = Annotated[float, typer.Option("--anchor-wait", min=0, help="Seconds to wait for the anchors.")]
OthersOption = Annotated[
    bool, typer.Option("--ask-others", help="Do not wait for a lost node; may pay for its job twice.")
]
TemplatesOption = Annotated[
    Path | None,
    typer.Option("--templates", metavar="DIR", help="Your own templates, for tasks.", show_default=False),
]
MermaidOption = Annotated[bool, typer.Option("--mermaid", help="Mermaid's text instead of SVG.")]


@flow_app.command("run")
def run_command(
    file: DefinitionArgument,
    given: InputOption = None,
    state: StateOption = None,
    resume: ResumeOption = False,
    output: OutputOption = None,
    close: CloseOption = None,
    at_once: AtOnceOption = AT_ONCE,
    max_price: PriceOption = None,
    deadline: DeadlineOption = DEADLINE_SECONDS,
    anchor_wait: AnchorOption = ANCHOR_WAIT_SECONDS,
    ask_others: OthersOption = False,
    templates: TemplatesOption = None,
    network: NetworkOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Run a flow, and write the proof of the whole chain.

    Whatever ends it, Ctrl-C or a crash: --resume runs no finished step again,
    and asks for a job that was sent with the same signature.

    Exits 0 when every step is done, 1 when one fails, 2 on wrong usage.

    Example: tallynet flow run capitals.yaml --input country=Japan --state D
    """
    with command(as_json=as_json, debug=debug) as terminal:
        checked = read_definition(file, templates)
        inputs, closed = read_inputs(checked.flow, given or ()), close or []
        for name in closed:
            if not closable(checked.flow, name):
                raise Misconfigured(f"The input {name!r} cannot be closed.", remedy="Leave out --close.")
        folder = state or _own_folder(checked.flow.name, resume)
        target = output or Path(checked.flow.name + FLOW_SUFFIX)
        _check_place(target)
        board = StepBoard(terminal.notes)
        options = FlowOptions(
            resume=resume, at_once=at_once, deadline_seconds=deadline, max_price_wei=max_price, ask_others=ask_others,
            tell=board.tell,
        )  # fmt: skip
        with open_client(network) as client:
            with board.shown():
                finished = client.run_flow(checked.flow, inputs, state=folder, **options)
            finished.save(target, closed)
            anchored = _anchor(client, finished, target, closed, anchor_wait, terminal)
        write(terminal.out, shown(finished.value).rstrip("\n") + "\n")
        _say(terminal, finished, target, anchored)
        terminal.result(describe_finished(finished, target, anchored))


@flow_app.command("draw")
def draw_command(
    file: SourceArgument,
    state: DrawStateOption = None,
    output: PictureOption = None,
    mermaid: MermaidOption = False,
    templates: TemplatesOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Draw a flow, with the state of each step where one is known.

    Example: tallynet flow draw capitals.yaml --state D -o capitals.svg
    """
    with command(as_json=as_json, debug=debug) as terminal:
        source = read_source(file, templates)
        standing = _standing(source, state)
        picture = (draw_mermaid if mermaid else draw_svg)(source.checked, standing)
        if output is not None:
            _write_picture(output, picture)
            terminal.notes.print(Text(f"Drawn in {output}.", style="dim"))
        elif not as_json:
            typer.echo(picture, nl=False)
        states = {name: progress.state for name, progress in (standing or {}).items()}
        terminal.result({"picture": picture, "format": "mermaid" if mermaid else "svg", "states": states})


@flow_app.command("show")
def show_command(
    file: SourceArgument,
    templates: TemplatesOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Show the steps of a flow: what a definition asks, or what a finished one gave.

    Of a flow file all that it proves by itself is checked; `audit flow` says more.

    Example: tallynet flow show capitals.flow.tally
    """
    with command(as_json=as_json, debug=debug) as terminal:
        source = read_source(file, templates)
        if source.finished is None:
            terminal.out.print(definition_table(source.checked))
            terminal.result(describe_definition(source.checked))
            return
        terminal.out.print(finished_table(source.finished))
        terminal.result({**describe_definition(source.checked), **describe_results(source.finished)})


def open_client(network: Path | None) -> Client:
    """The client that a command uses."""
    return Client(network)


def _own_folder(name: str, resume: bool) -> Path:
    """A new folder for a run of this flow, or to go on, the newest there is. Raises `Misconfigured` for none."""
    flows = state_folder() / "flows" / name
    numbers = sorted(int(path.name) for path in flows.glob("[0-9]*") if path.name.isdecimal())
    if resume and not numbers:
        raise Misconfigured(f"No flow {name!r} was begun.", remedy="Leave out --resume to begin it.")
    return flows / str(numbers[-1] if resume else numbers[-1] + 1 if numbers else 1)


def _check_place(target: Path) -> None:
    """Raise `Misconfigured` while nothing has been paid yet, if nothing can be saved there."""
    if target.is_dir() or not target.resolve().parent.is_dir():
        raise Misconfigured(f"Nothing can be written to {target}.", remedy="Name a file in a folder that exists.")


def _anchor(
    client: Client, finished: FinishedFlow, target: Path, close: list[str], seconds: float, terminal: Terminal
) -> int:
    """How many runs are anchored in the file, after it was saved once more with what there is."""
    if not seconds:
        return 0
    with terminal.notes.status("Waiting for the anchors on the chain…"):
        file = client.anchor_flow(finished.file, seconds)
    FinishedFlow(file, finished.results).save(target, close)
    return anchored_runs(file)


def _say(terminal: Terminal, finished: FinishedFlow, target: Path, anchored: int) -> None:
    runs = len(finished.file.runs)
    terminal.notes.print(
        Text(f"{runs} runs · {money(finished.price)} · {anchored} anchored · saved in {target}", style="dim")
    )
    terminal.notes.print(Text(f"Check it: tallynet audit flow {target}", style="dim"))


def _standing(source: Source, folder: Path | None) -> Standing | None:
    if source.finished is not None:
        return standing_of(source.finished)
    return standing_in(folder, source.checked) if folder else None


def _write_picture(path: Path, picture: str) -> None:
    try:
        path.write_text(picture, encoding="utf-8")
    except OSError as error:
        raise Misconfigured(
            f"The picture cannot be written to {path}: {error.strerror}.", remedy="Name a file in a folder that exists."
        ) from error
