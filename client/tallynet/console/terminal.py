"""How a command speaks: results on stdout, everything else on stderr, errors in two sentences.

With `--json` the last line of stdout is exactly one JSON object, also when the command fails. Exit codes:
0 done, 1 failed or refused, 2 usage or configuration, 3 pending, 130 interrupted.
"""

import json
import logging
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from tallynet.protocol.errors import Misconfigured, Pending, TallyError
from tallynet.protocol.units import printable

DONE, FAILED, USAGE, PENDING, INTERRUPTED = 0, 1, 2, 3, 130

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of stdout.")]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show logs, and a traceback when something fails.")]
NetworkOption = Annotated[
    Path | None,
    typer.Option(
        "--network",
        envvar="TALLYNET_NETWORK",
        help="Network file. Default: network.json in the config folder.",
        show_default=False,
    ),
]


class Terminal:
    """Where one command writes."""

    def __init__(self, *, as_json: bool, debug: bool = False) -> None:
        self.as_json = as_json
        self.debug = debug
        self.notes = Console(stderr=True, highlight=False)
        """Progress and remarks: always stderr."""
        self.out = self.notes if as_json else Console(highlight=False)
        """Tables and text for people: stdout, or stderr when stdout holds JSON."""

    def result(self, value: Mapping[str, object]) -> None:
        """The result for programs: one line of JSON on stdout, with `--json` only."""
        if self.as_json:
            sys.stdout.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")
            sys.stdout.flush()


@contextmanager
def command(*, as_json: bool = False, debug: bool = False, level: int = logging.WARNING) -> Iterator[Terminal]:
    """The frame of every command: logging from `level` up, errors in two sentences, exit codes."""
    _log_to_stderr(logging.DEBUG if debug else level)
    terminal = Terminal(as_json=as_json, debug=debug)
    try:
        yield terminal
    except* TallyError as group:
        error = first_error(group)
        if debug:
            traceback.print_exception(group, file=sys.stderr)
        terminal.notes.print(f"[red]Error:[/] {_escaped(str(error))}")
        terminal.notes.print(_escaped(error.remedy))
        terminal.result({"error": {"code": error.code, "message": str(error), "remedy": error.remedy}})
        code = exit_code(error)
    except* KeyboardInterrupt:
        terminal.notes.print("Interrupted.")
        terminal.result({"error": {"code": "interrupted", "message": "Interrupted.", "remedy": ""}})
        code = INTERRUPTED
    else:
        return
    raise typer.Exit(code)


def first_error(group: BaseExceptionGroup[TallyError]) -> TallyError:
    """The first error of ours inside a group."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if not isinstance(error, TallyError):
        raise error
    return error


def exit_code(error: TallyError) -> int:
    if isinstance(error, Pending):
        return PENDING
    return USAGE if isinstance(error, Misconfigured) else FAILED


def _escaped(text: str) -> str:
    """Foreign text as it may stand on a terminal: no markup, no control characters."""
    return escape(printable(text, 4000))


def _log_to_stderr(level: int) -> None:
    """Our own records from `level` up; those of libraries only when they are warnings."""
    logging.basicConfig(
        level=logging.WARNING, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True
    )
    logging.getLogger("tallynet").setLevel(level)
