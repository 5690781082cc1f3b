"""`tallynet demo`: everything at once, in under a minute."""

import logging
import time
from typing import Annotated

import typer

from tallynet.console.terminal import FAILED, DebugOption, JsonOption, command


def demo(
    model: Annotated[
        str, typer.Option(help="Model directory or hub id, or fake. Default: the tiny model.", show_default=False)
    ] = "",
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """See a job signed, run, streamed, logged, anchored and audited, and a cheat caught. Needs nothing but this.

    A chain and three nodes run inside this one process. One node alters an answer after it was signed. Exits 1
    unless that is caught and everything else is proven.

    Example: tallynet demo --json
    """
    began = time.monotonic()
    with command(as_json=as_json, debug=debug) as terminal:
        with terminal.notes.status("Loading…"):
            from tallynet.devnet.play import perform  # everything heavy is behind this
            from tallynet.devnet.stage import Stage
        if not debug:  # what a log would warn of is the story here, and is told in its place
            logging.getLogger("tallynet").setLevel(logging.ERROR)
        outcome = perform(Stage(terminal.out), began, model)
        terminal.result(outcome.describe())
        if not outcome.good:
            raise typer.Exit(FAILED)
