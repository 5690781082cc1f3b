"""`tallynet summarise`: texts of any length."""

from typing import Annotated

import typer
from rich.text import Text

from tallynet.client.blocking import Client
from tallynet.client.commands import open_client
from tallynet.client.display import summary, write
from tallynet.client.documents.summary import Summary, summarise
from tallynet.client.options import ModelOption
from tallynet.client.task_options import TaskOptions, choose_model, read_file
from tallynet.client.task_telling import Proof, describe_result, show_progress, tell_prompt
from tallynet.console.option_group import takes
from tallynet.console.terminal import Terminal, command
from tallynet.protocol.units import prefixed

FileArgument = Annotated[str, typer.Argument(help="A text, Markdown or HTML file; - reads stdin.", show_default=False)]
WordsOption = Annotated[int, typer.Option("--words", min=5, max=2000, help="About how long the summary should be.")]


@takes(TaskOptions, without=("temperature", "audit_consent"))
def summarise_file(
    file: FileArgument,
    model: ModelOption = "",
    words: WordsOption = 120,
    *,
    options: TaskOptions,
) -> None:
    """Summarise a text of any length: its parts first, then their summaries, each a job that names those before it.

    --max-price and --deadline hold for each job. --save keeps the proof of the last one.

    Example: tallynet summarise README.md --words 60
    """
    with command(as_json=options.as_json, debug=options.debug) as terminal:
        text = read_file(file)
        asked = options.read()
        with open_client(options.network, keep=not options.no_keep) as client:
            chosen = choose_model(client, model)
            if options.show:
                filled = {"text": text, "words": words}
                tell_prompt(client.prepare_task(chosen, "summarise", filled, templates=options.templates), terminal)
                return
            with show_progress("Summarising", terminal) as tell:
                made = client.call(
                    lambda opened: summarise(
                        opened, chosen, text, words=words, templates=options.templates, tell=tell, **asked
                    )
                )
            _tell_summary(client, made, options.proof, terminal)


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
