"""`tallynet chat`: a dialogue in the terminal, with the evidence of each answer under it.

Ctrl-C stops an answer, Ctrl-D leaves. Without a terminal each line of stdin is said, which makes chats scriptable.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from tallynet.client.answer import Answer
from tallynet.client.commands import open_client
from tallynet.client.dialogue import Dialogue
from tallynet.client.display import describe_answer, plain, summary, write
from tallynet.client.options import (
    DeadlineOption,
    NodeOption,
    NoKeepOption,
    PriceOption,
    SystemOption,
    TaskTokensOption,
    TemperatureOption,
    TopKOption,
    TopPOption,
)
from tallynet.client.task_options import ask_options, choose_model
from tallynet.client.terms import DEADLINE_SECONDS
from tallynet.console.moments import moment
from tallynet.console.terminal import DebugOption, JsonOption, NetworkOption, Terminal, command
from tallynet.protocol.errors import Misconfigured, TallyError
from tallynet.protocol.request import MAX_REQUEST_BYTES
from tallynet.protocol.units import prefixed

HELP = """\
/save FILE   keep the proof of the last answer; a folder: of all answers
/proof       what is known of the last answer
/new         forget what was said, and begin again
/help        this
Ctrl-C stops an answer, Ctrl-D leaves."""

ModelArgument = Annotated[
    str, typer.Argument(envvar="TALLYNET_MODEL", help="Name or id. Default: what most nodes offer.")
]


def chat(
    model: ModelArgument = "",
    system: SystemOption = "",
    max_tokens: TaskTokensOption = None,
    temperature: TemperatureOption = 0.0,
    top_k: TopKOption = 0,
    top_p: TopPOption = 1.0,
    node: NodeOption = "",
    max_price: PriceOption = None,
    deadline: DeadlineOption = DEADLINE_SECONDS,
    no_keep: NoKeepOption = False,
    network: NetworkOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Talk with a model. Each question carries what was said before, and its job names the answer before it.

    /help lists what can be done besides: keep the proof of an answer, begin again.

    Example: tallynet chat tally-tiny --system "Answer in one sentence."
    """
    with command(as_json=as_json, debug=debug) as terminal:
        options = ask_options(max_tokens, temperature, node, max_price, deadline)
        options["top_k"], options["top_p"] = top_k, top_p
        with open_client(network, keep=not no_keep) as client:
            chosen = choose_model(client, model)
            name = client.call(lambda opened: opened.name_of(chosen))
            talk = Chat(lambda: client.dialogue(chosen, system, **options), terminal)
            if sys.stdin.isatty():
                terminal.notes.print(Text(f"Talking with {plain(name)}. /help, Ctrl-D leaves.", style="dim"))
            talk.run()
        answers = [describe_answer(answer, evidence=answer.evidence, saved=None) for answer in talk.answers]
        terminal.result({"answers": answers, "stopped": talk.stopped})


class Chat:
    """What happens between one line and the next."""

    def __init__(self, begin: Callable[[], Dialogue], terminal: Terminal) -> None:
        """`begin` makes a new dialogue."""
        self.answers: list[Answer] = []
        """All whole answers, also those before /new."""
        self.stopped = 0
        """Answers that were stopped or failed."""
        self._begin = begin
        self._dialogue = begin()
        self._terminal = terminal

    def run(self) -> None:
        """Until the end of stdin, or Ctrl-D."""
        for line in read_lines(self._terminal):
            try:
                self._obey(line) if line.startswith("/") else self._say(line)
            except TallyError as error:
                self._note(f"{error} {error.remedy}", "yellow")

    def _say(self, line: str) -> None:
        before = len(self._dialogue.answers)
        try:
            self._show(line)
        except KeyboardInterrupt:
            self._note("Stopped: it is no part of the dialogue.")
        finally:
            self.answers += self._dialogue.answers[before:]
            self.stopped += len(self._dialogue.answers) == before

    def _show(self, line: str) -> None:
        """The pieces as they come, and the line about them."""
        out = self._terminal.out
        with ExitStack() as waiting, self._dialogue.stream(line) as stream:
            waiting.enter_context(self._terminal.notes.status("…"))
            try:
                for piece in stream:
                    waiting.close()
                    write(out, piece)
            finally:
                waiting.close()
                write(out, "\n" if stream.text else "")
        self._terminal.notes.print(summary(stream.answer))

    def _obey(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        match word:
            case "/help":
                self._note(HELP)
            case "/new":
                self._dialogue = self._begin()
                self._note("A new dialogue.")
            case "/proof":
                self._prove(self._last())
            case "/save":
                self._save(rest.strip())
            case _:
                self._note(f"There is no {plain(word)}. {HELP}", "yellow")

    def _save(self, place: str) -> None:
        if not place:
            raise Misconfigured("/save needs a name.", remedy="Write: /save answer.tally")
        last, path = self._last(), Path(place).expanduser()
        if not path.is_dir():
            last.save(path)
            self._note(f"Saved {path}. Later: tallynet audit verify {path}")
            return
        for number, answer in enumerate(self.answers, start=1):
            answer.save(path / f"answer-{number}.tally")
        self._note(f"Saved {len(self.answers)} answers in {path}.")

    def _prove(self, answer: Answer) -> None:
        usage = answer.usage
        facts = {
            "job": prefixed(answer.job),
            "node": prefixed(answer.node),
            "leaf": f"{answer.index} of its log, anchored by {moment(answer.receipt.receipt.anchor_by)} at the latest",
            "tokens": f"{usage.prompt_tokens} read, {usage.completion_tokens} written, for {answer.price} wei",
            "evidence": answer.evidence,
        }
        for name, fact in facts.items():
            self._note(f"{name:<10} {fact}")

    def _last(self) -> Answer:
        if not self.answers:
            raise Misconfigured("Nothing has been answered yet.", remedy="Ask something first.")
        return self.answers[-1]

    def _note(self, text: str, style: str = "dim") -> None:
        self._terminal.notes.print(Text(text, style=style))


def read_lines(terminal: Terminal) -> Iterator[str]:
    """What is said, line by line, empty lines left out. Ctrl-C empties the line that is being written."""
    while True:
        try:
            line = _read_line(terminal)
        except KeyboardInterrupt:
            terminal.notes.print(Text("\nCtrl-D leaves.", style="dim"))
            continue
        if line is None:
            return
        if line.strip():
            yield line.strip()


def _read_line(terminal: Terminal) -> str | None:
    """None at the end. Raises `Misconfigured` for more than a request can hold, or for what is no text."""
    try:
        if sys.stdin.isatty():
            import readline  # noqa: F401  lines can be edited, and called back

            return input("› ")
        line = sys.stdin.readline(MAX_REQUEST_BYTES + 1)
    except EOFError:
        terminal.notes.print()
        return None
    except UnicodeDecodeError as error:
        raise Misconfigured(f"The text on stdin is no UTF-8: {error}.", remedy="Convert it to UTF-8.") from error
    if len(line) > MAX_REQUEST_BYTES:
        raise Misconfigured(f"A line has more than {MAX_REQUEST_BYTES} characters.", remedy="Shorten it.")
    return line or None
