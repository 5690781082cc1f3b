"""`tallynet audit explain`, `export`, `open`: what to do with a bundle besides checking it."""

import json
import sys
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from tallynet.audit.bundle_file import write_file
from tallynet.audit.bundle_json import bundle_as_json, statement_about
from tallynet.audit.bundle_report import describe_explanation, print_explanation
from tallynet.audit.conversation import closed, describe_opening, opened
from tallynet.audit.explanation import explain
from tallynet.audit.inspection import (
    OfflineOption,
    Source,
    SourceArgument,
    holding,
    inspect,
    known_network,
    read_source,
)
from tallynet.console.terminal import DebugOption, JsonOption, NetworkOption, Terminal, command
from tallynet.protocol.bundle import Bundle, write_bundle
from tallynet.protocol.bundle_link import write_link
from tallynet.protocol.bundle_openings import open_part
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.whole_file import write_whole


class Form(StrEnum):
    """What a bundle can be exported as."""

    JSON = "json"
    IN_TOTO = "in-toto"
    LINK = "link"


FormOption = Annotated[Form, typer.Option("--as", help="Form of the export.", show_default=False)]
ExportOption = Annotated[
    Path | None,
    typer.Option("-o", "--output", help="File to write. Default: stdout.", show_default=False),
]
ChunkOption = Annotated[
    list[int] | None,
    typer.Option("--chunk", min=0, help="Open this chunk of the answer, from 0; once for each.", show_default=False),
]
RequestOption = Annotated[bool, typer.Option("--request", help="Open the request.")]
NoneOption = Annotated[bool, typer.Option("--none", help="Open nothing.")]
OpenOption = Annotated[Path, typer.Option("-o", "--output", help="File to write.", show_default=False)]


def explain_command(
    source: SourceArgument,
    offline: OfflineOption = False,
    network: NetworkOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Say in plain words what a bundle proves, by whom, and what it does not.

    Without a network file it looks at nothing but the bundle, as with
    --offline. Exits 0 when all that was checked holds, 1 when something does
    not, 2 on wrong usage, 3 when the run is not anchored yet.

    Example: tallynet audit explain answer.tally
    """
    with command(as_json=as_json, debug=debug) as terminal:
        given = read_source(source)
        found = inspect(given, known_network(network, optional=True), network, offline)
        told = explain(found.verification, given.file.name if given.file else "LINK")
        print_explanation(terminal.out, told, found.verification, found.trust)
        terminal.result(describe_explanation(told, found.verification, found.trust))
        raise typer.Exit(found.exit_code)


def export_command(
    source: SourceArgument,
    form: FormOption,
    output: ExportOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Write a bundle that holds as JSON, as an in-toto Statement or as a link.

    The Statement's subject is the output: its commitment, and the SHA-256 of
    the answer's text where the bundle opens all of it. Whoever has the JSON or
    the link can read what the bundle opens.

    Exits 0 when it is written, 1 when a check that needs only the file fails,
    2 on wrong usage.

    Example: tallynet audit export answer.tally --as in-toto
    """
    with command(as_json=as_json, debug=debug) as terminal:
        bundle = holding(read_source(source))
        exported = _exported(bundle, form)
        if output is not None:
            write_whole(output, f"{_text(exported)}\n".encode(), "export")
            terminal.out.print(Text(f"Written: {output}"), soft_wrap=True)
            terminal.result({"as": form, "file": str(output)})
        elif as_json:
            terminal.result(exported if isinstance(exported, dict) else {"link": exported})
        else:
            sys.stdout.write(f"{_text(exported)}\n")


def open_command(
    source: SourceArgument,
    output: OpenOption,
    chunk: ChunkOption = None,
    request: RequestOption = False,
    none: NoneOption = False,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Write a bundle that opens only chosen parts of the conversation, or nothing.

    All that was signed, logged and anchored stays, and so does the proof that
    what is opened was said, at its place. FILE is left as it is.

    Exits 0 when it is written, 1 when a check that needs only the file fails,
    2 on wrong usage.

    Example: tallynet audit open answer.tally --chunk 0 --request -o part.tally
    """
    with command(as_json=as_json, debug=debug) as terminal:
        given = read_source(source)
        _check_choice(given, output, bool(chunk or request), none)
        bundle = holding(given)
        chosen = bundle.closed() if none else _opening_only(bundle, chunk or [], request)
        write_file(output, chosen)
        _say_opened(terminal, chosen, output)


def add_bundle_commands(app: typer.Typer) -> None:
    """Make the commands of this module part of `tallynet audit`."""
    app.command("explain")(explain_command)
    app.command("export")(export_command)
    app.command("open")(open_command)


def _exported(bundle: Bundle, form: Form) -> dict[str, object] | str:
    match form:
        case Form.JSON:
            return bundle_as_json(bundle)
        case Form.IN_TOTO:
            return statement_about(bundle)
        case Form.LINK:
            return write_link(write_bundle(bundle).encode())


def _text(exported: dict[str, object] | str) -> str:
    return exported if isinstance(exported, str) else json.dumps(exported, indent=2, ensure_ascii=False)


def _check_choice(source: Source, output: Path, some: bool, none: bool) -> None:
    """Raises `Misconfigured` for a choice that contradicts itself, and before the only copy of a text is lost."""
    if some == none:
        raise Misconfigured(
            "Something and nothing cannot both be opened." if none else "Nothing is chosen to be opened.",
            remedy="Choose chunks (--chunk 0 --chunk 3) and --request, or else --none.",
        )
    if source.file is not None and output.exists() and output.samefile(source.file):
        raise Misconfigured(
            f"{output} would be replaced by a file that opens less.", remedy="Name another file with -o."
        )


def _opening_only(bundle: Bundle, chunks: list[int], request: bool) -> Bundle:
    """Raises `Misconfigured` for what the bundle does not open itself."""
    return replace(bundle, opening=open_part(bundle.opening, chunks, request=request))


def _say_opened(terminal: Terminal, bundle: Bundle, output: Path) -> None:
    terminal.out.print(Text(f"Written: {output}"), soft_wrap=True)
    terminal.out.print(Text(f"  open    {opened(bundle)}\n  closed  {closed(bundle)}"), soft_wrap=True)
    terminal.result({"file": str(output), "opened": describe_opening(bundle)})
