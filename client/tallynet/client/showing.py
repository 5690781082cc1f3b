"""Answers on a terminal: the words as they come, the line about them, and the bundle that keeps their proof."""

from contextlib import ExitStack
from pathlib import Path

from rich.text import Text

from tallynet.client.answer import Answer, save_bundle
from tallynet.client.blocking import BlockingStream, Client
from tallynet.client.display import summary, write
from tallynet.client.surprise import answer_map
from tallynet.client.terms import AskOptions
from tallynet.console.heat import print_heat
from tallynet.console.moments import moment
from tallynet.console.terminal import Terminal
from tallynet.protocol.errors import Busy, Pending, Refused, Unreachable
from tallynet.protocol.request import Request


def show_stream(stream: BlockingStream, terminal: Terminal) -> Answer:
    """Print the pieces as they come, then the line about them; the line goes to stderr, the text alone to stdout."""
    try:
        with ExitStack() as waiting:
            waiting.enter_context(terminal.notes.status("Looking for a node…"))
            with stream:
                for piece in stream:
                    waiting.close()
                    write(terminal.out, piece)
    finally:
        if stream.text and not stream.text.endswith("\n"):
            write(terminal.out, "\n")
        if stream.finished:
            terminal.notes.print(summary(stream.answer))
    return stream.answer


def show_answer(client: Client, model: str, request: Request, options: AskOptions, terminal: Terminal) -> Answer:
    """Print the whole answer, coloured where the model was unsure, then the line about it."""
    with terminal.notes.status("Waiting for the answer…"):
        answer = client.ask(model, request, **options)
    print_heat(terminal.out, answer_map(answer))
    terminal.notes.print(summary(answer))
    return answer


def keep_answer(client: Client, answer: Answer, file: Path, seconds: float, terminal: Terminal) -> str:
    """Save the bundle, and again with its anchor if that comes in time; returns the level of evidence."""
    answer.save(file)
    if not seconds:
        _say_pending(answer, file, terminal)
        return answer.evidence
    try:
        with terminal.notes.status("Waiting for the anchor on the chain…"):
            bundle = client.wait_for_anchor(answer.bundle(), seconds)
    except Pending:
        _say_pending(answer, file, terminal)
        return answer.evidence
    except (Busy, Refused, Unreachable) as error:
        terminal.notes.print(Text(f"The anchor cannot be looked for now: {error}", style="yellow"))
        _say_pending(answer, file, terminal)
        return answer.evidence
    save_bundle(bundle, file)
    terminal.notes.print(Text(f"Saved in {file}, anchored: it can be checked offline.", style="dim"))
    return "anchored"


def _say_pending(answer: Answer, file: Path, terminal: Terminal) -> None:
    promised = moment(answer.receipt.receipt.anchor_by)
    line = f"Saved in {file}, not anchored yet; promised by {promised}. Later: tallynet audit verify {file}"
    terminal.notes.print(Text(line, style="dim"))
