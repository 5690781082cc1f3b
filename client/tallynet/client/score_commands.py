"""`tallynet score`: how likely a model finds a text, token by token."""

from pathlib import Path
from typing import Annotated

import typer

from tallynet.client.commands import check_place, open_client, read_node, read_text
from tallynet.client.display import describe_score, score_summary, score_table, summary
from tallynet.client.options import (
    ConsentOption,
    DeadlineOption,
    ModelArgument,
    NodeOption,
    NoKeepOption,
    PriceOption,
    SaveOption,
)
from tallynet.client.score import TOP, ScoreOptions
from tallynet.client.surprise import score_map
from tallynet.client.terms import DEADLINE_SECONDS
from tallynet.client.text_file import read_text_file
from tallynet.console.heat import heat_page, print_heat
from tallynet.console.page import write_page
from tallynet.console.terminal import DebugOption, JsonOption, NetworkOption, command
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.request import MAX_TOP

TextArgument = Annotated[str | None, typer.Argument(help="The text; - reads it from stdin.", show_default=False)]
FileOption = Annotated[
    Path | None, typer.Option("--file", help="Read the text from this file (UTF-8).", show_default=False)
]
TopOption = Annotated[int, typer.Option("--top", min=0, max=MAX_TOP, help="Likely tokens told for each place.")]
HeatOption = Annotated[bool, typer.Option("--heat", help="Show the whole text, coloured where it surprised.")]
PageOption = Annotated[
    Path | None, typer.Option("--html", help="Write it as a page, coloured, to this file.", show_default=False)
]


def score(
    model: ModelArgument,
    text: TextArgument = None,
    file: FileOption = None,
    top: TopOption = TOP,
    heat: HeatOption = False,
    html: PageOption = None,
    save: SaveOption = None,
    node: NodeOption = "",
    max_price: PriceOption = None,
    deadline: DeadlineOption = DEADLINE_SECONDS,
    audit_consent: ConsentOption = False,
    no_keep: NoKeepOption = False,
    network: NetworkOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Tell how likely a model finds a text: its log-probability, its perplexity, and the tokens that surprised it most.

    The first token has nothing before it and no score, unless the model's tokenizer begins every text itself.

    Example: tallynet score tally-tiny "The capital of Japan is Tokyo." --heat
    """
    with command(as_json=as_json, debug=debug) as terminal:
        words = _read(text, file)
        for place in (save, html):
            check_place(place)
        options = ScoreOptions(
            deadline_seconds=deadline, max_price_wei=max_price, node=read_node(node), audit_consent=audit_consent
        )
        with open_client(network, keep=not no_keep) as client, terminal.notes.status("Waiting for the score…"):
            found = client.score(model, words, top=top, **options)
        if save is not None:
            found.answer.save(save)
        if html is not None:
            write_page(heat_page(score_map(found)), html)
        if heat:
            print_heat(terminal.out, score_map(found))
        else:
            terminal.out.print(score_table(found))
        terminal.out.print(score_summary(found))
        terminal.notes.print(summary(found.answer))
        terminal.result(describe_score(found, saved=save))


def _read(text: str | None, file: Path | None) -> str:
    """Raises `Misconfigured` unless there is exactly one text."""
    if (text is None) == (file is None):
        raise Misconfigured(
            "One text is needed.", remedy="Write it in quotes after the model's name, or name a --file."
        )
    words = read_text(text) if text is not None else read_text_file(file or Path(), remedy="Score it in parts.")
    if not words:
        raise Misconfigured("The text is empty.", remedy="Write it in quotes after the model's name.")
    return words
