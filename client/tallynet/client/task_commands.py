"""`tallynet run` and `tallynet code`: tasks from the command line."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from tallynet.client.commands import open_client
from tallynet.client.options import ModelOption, TextArgument
from tallynet.client.task_options import TaskOptions, choose_model, read_text
from tallynet.client.task_telling import run_prepared
from tallynet.console.option_group import takes
from tallynet.console.terminal import command
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.json_depth import check_depth
from tallynet.templates.shelf import find_template
from tallynet.templates.template import Template

MAX_SCHEMA_BYTES = 64 * 1024

TaskArgument = Annotated[
    str, typer.Argument(help="translate, classify, extract, … or one of your own; NAME@2 is version 2.")
]
InputOption = Annotated[
    list[str] | None,
    typer.Option("--input", "-i", metavar="NAME=VALUE", help="An input of the template; repeat it for others.",
                 show_default=False),
]  # fmt: skip
ToOption = Annotated[str, typer.Option("--to", help="translate: the language, fr or French.")]
LabelOption = Annotated[
    list[str] | None, typer.Option("--label", help="classify: one of the labels; repeat it.", show_default=False)
]
SchemaOption = Annotated[
    Path | None, typer.Option("--schema", metavar="FILE", help="extract: a JSON schema.", show_default=False)
]
LanguageOption = Annotated[str, typer.Option("--language", help="The programming language.")]


@takes(TaskOptions)
def run(
    task: TaskArgument,
    text: TextArgument,
    model: ModelOption = "",
    to: ToOption = "",
    label: LabelOption = None,
    schema: SchemaOption = None,
    inputs: InputOption = None,
    *,
    options: TaskOptions,
) -> None:
    """Ask a model in the words of a template: translate, answer, classify, extract, code, dialogue, summarise.

    Prints the answer; of classify the label, of extract the JSON, and exits 1 when the answer is neither.

    Example: tallynet run translate --to fr "cat"
    """
    with command(as_json=options.as_json, debug=options.debug) as terminal:
        template = find_template(task, options.templates)
        filled = _read_inputs(template, text, to, label, schema, inputs or ())
        asked = options.read()
        with open_client(options.network, keep=not options.no_keep) as client:
            prepared = client.prepare_task(choose_model(client, model), template, filled)
            run_prepared(client, prepared, asked, options.proof, terminal, show=options.show)


@takes(TaskOptions, without=("audit_consent",))
def code(
    text: TextArgument,
    model: ModelOption = "",
    language: LanguageOption = "",
    *,
    options: TaskOptions,
) -> None:
    """Have a model write code: the code goes to stdout, everything else to stderr.

    Example: tallynet code "Write one line of Python that reverses the list numbers."
    """
    with command(as_json=options.as_json, debug=options.debug) as terminal:
        filled = {"text": read_text(text), "language": language}
        asked = options.read()
        with open_client(options.network, keep=not options.no_keep) as client:
            prepared = client.prepare_task(choose_model(client, model), "code", filled, templates=options.templates)
            run_prepared(client, prepared, asked, options.proof, terminal, show=options.show)


def _read_inputs(
    template: Template, text: str, to: str, labels: Sequence[str] | None, schema: Path | None, others: Sequence[str]
) -> dict[str, object]:
    """The inputs by their names. The text is the first one of the template."""
    filled: dict[str, object] = {next(iter(template.inputs)): read_text(text)}
    if to:
        filled["to"] = to
    if labels:
        filled["labels"] = labels
    if schema is not None:
        filled["schema"] = _read_schema(schema)
    for pair in others:
        name, equals, value = pair.partition("=")
        if not equals:
            raise Misconfigured(f"{pair[:80]!r} is no input.", remedy="Write it as NAME=VALUE.")
        filled[name] = value
    return filled


def _read_schema(file: Path) -> object:
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_SCHEMA_BYTES + 1)
        if len(data) > MAX_SCHEMA_BYTES:
            raise Misconfigured(f"{file} has more than {MAX_SCHEMA_BYTES} bytes.", remedy="Shorten the schema.")
        check_depth(data)
        return json.loads(data)
    except OSError as error:
        raise Misconfigured(f"{file} cannot be read: {error.strerror}.", remedy="Check the file.") from error
    except (ValueError, RecursionError) as error:
        raise Misconfigured(f"{file} is no JSON: {error}.", remedy="Correct it.") from error
