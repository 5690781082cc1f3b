"""`tallynet summarise`: texts of any length."""

from typing import Annotated

import typer
from rich.text import Text

from tallynet.client.blocking import Client
from tallynet.client.commands import (
    ANCHOR_WAIT_SECONDS,
    AnchorOption,
    DeadlineOption,
    NodeOption,
    NoKeepOption,
    PriceOption,
    SaveOption,
    check_place,
    open_client,
)
from tallynet.client.display import summary, write
from tallynet.client.documents.summary import Summary, summarise
from tallynet.client.task_options import (
    ModelOption,
    ShowOption,
    TaskTokensOption,
    TemplatesOption,
    ask_options,
    choose_model,
    read_file,
)
from tallynet.client.task_telling import Proof, describe_result, show_progress, tell_prompt
from tallynet.client.terms import DEADLINE_SECONDS
from tallynet.console.terminal import DebugOption, JsonOption, NetworkOption, Terminal, command
from tallynet.protocol.units import prefixed

FileArgument = Annotated[str, typer.Argument(help="A text, Markdown or HTML file; - reads stdin.", show_default=False)]
WordsOption = Annotated[int, typer.Option("--words", min=5, max=2000, help="About how long the summary should be.")]


def summarise_file(
    file: FileArgument,
    model: ModelOption = "",
    words: WordsOption = 120,
    templates: TemplatesOption = None,
    show: ShowOption = False,
    save: SaveOption = None,
    max_tokens: TaskTokensOption = None,
    node: NodeOption = "",
    max_price: PriceOption = None,
    deadline: DeadlineOption = DEADLINE_SECONDS,
    anchor_wait: AnchorOption = ANCHOR_WAIT_SECONDS,
    no_keep: NoKeepOption = False,
    network: NetworkOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Summarise a text of any length: its parts first, then their summaries, each a job that names those before it.

    --max-price and --deadline hold for each job. --save keeps the proof of the last one.

    Example: tallynet summarise README.md --words 60
    """
    with command(as_json=as_json, debug=debug) as terminal:
        text = read_file(file)
        options = ask_options(max_tokens, 0.0, node, max_price, deadline)
        check_place(save)
        with open_client(network, keep=not no_keep) as client:
            chosen = choose_model(client, model)
            if show:
                filled = {"text": text, "words": words}
                tell_prompt(client.prepare_task(chosen, "summarise", filled, templates=templates), terminal)
                return
            with show_progress("Summarising", terminal) as tell:
                made = client.call(
                    lambda opened: summarise(
                        opened, chosen, text, words=words, templates=templates, tell=tell, **options
                    )
                )
            _tell_summary(client, made, Proof(save, anchor_wait), terminal)


def _tell_summary(client: Client, made: Summary, proof: Proof, terminal: Terminal) -> None:
    answer = made.result.answer
    write(terminal.out, made.text.strip() + "\n")
    if len(made.answers) > 1:
        total = sum(part.price for part in made.answers)
        terminal.notes.print(Text(f"From {len(made.answers)} jobs, {total} wei in all; the last:", style="dim"))
    terminal.notes.print(summary(answer))
    evidence = proof.keep(client, answer, terminal)
    told = describe_result(made.result, evidence=evidence, saved=proof.file)
    jobs = [{"job": prefixed(part.job), "node": prefixed(part.node), "price_wei": part.price} for part in made.answers]
    terminal.result({**told, "jobs": jobs})
