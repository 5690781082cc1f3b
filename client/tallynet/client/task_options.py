"""What commands of tasks have in common on their command lines, and how it is read."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from tallynet.client.blocking import Client
from tallynet.client.commands import read_node
from tallynet.client.documents.document import read_document
from tallynet.client.documents.summary import MAX_TEXT
from tallynet.client.terms import AskOptions
from tallynet.protocol.errors import Misconfigured, NoNodes
from tallynet.protocol.job import MAX_TOKENS, Task
from tallynet.protocol.units import prefixed

TextArgument = Annotated[str, typer.Argument(help="The text; - reads it from stdin.", show_default=False)]
ModelOption = Annotated[
    str, typer.Option("--model", envvar="TALLYNET_MODEL", help="Name or id. Default: what most nodes offer.")
]
ShowOption = Annotated[bool, typer.Option("--show-prompt", help="Print the prompt, and ask nobody.")]
TemplatesOption = Annotated[
    Path | None, typer.Option("--templates", metavar="DIR", help="A folder of your own templates.", show_default=False)
]
TaskTokensOption = Annotated[
    int | None,
    typer.Option("--max-tokens", min=1, max=MAX_TOKENS, help="Longest answer. Default: the template's.",
                 show_default=False),
]  # fmt: skip


def choose_model(client: Client, model: str) -> str:
    """The model that was named, or the one that writes and that most nodes offer. Raises `NoNodes`."""
    if model:
        return model
    found = client.models(Task.GENERATE)
    if not found:
        raise NoNodes("Nobody offers a model that writes.")
    return prefixed(found[0].model)


def ask_options(
    max_tokens: int | None, temperature: float, node: str, max_price: int | None, deadline: float, consent: bool = False
) -> AskOptions:
    options = AskOptions(
        temperature=temperature, deadline_seconds=deadline, max_price_wei=max_price, node=read_node(node),
        audit_consent=consent,
    )  # fmt: skip
    if max_tokens is not None:
        options["max_tokens"] = max_tokens
    return options


def read_text(text: str) -> str:
    """The argument, or stdin for `-`. Raises `Misconfigured` for none at all."""
    found = read_file("-") if text == "-" else text
    if not found.strip():
        raise Misconfigured("The text is empty.", remedy="Write it in quotes, or pipe it in with -.")
    return found


def read_file(file: str) -> str:
    """A file's text, or stdin for `-`. Raises `Misconfigured`."""
    if file != "-":
        return read_document(Path(file), file).text
    data = sys.stdin.buffer.read(MAX_TEXT + 1)
    if len(data) > MAX_TEXT:
        raise Misconfigured(f"The text on stdin has more than {MAX_TEXT} bytes.", remedy="Shorten it.")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Misconfigured(f"The text on stdin is no UTF-8: {error}.", remedy="Convert it to UTF-8.") from error
