"""What commands of tasks have in common on their command lines, and how it is read."""

import sys
from dataclasses import dataclass
from pathlib import Path

from tallynet.client.blocking import Client
from tallynet.client.commands import check_place, read_node
from tallynet.client.documents.document import read_document
from tallynet.client.documents.summary import MAX_TEXT
from tallynet.client.options import (
    ANCHOR_WAIT_SECONDS,
    AnchorOption,
    ConsentOption,
    DeadlineOption,
    NodeOption,
    NoKeepOption,
    PriceOption,
    SaveOption,
    ShowOption,
    TaskTokensOption,
    TemperatureOption,
    TemplatesOption,
)
from tallynet.client.task_telling import Proof
from tallynet.client.terms import DEADLINE_SECONDS, AskOptions
from tallynet.console.terminal import DebugOption, JsonOption, NetworkOption
from tallynet.protocol.errors import Misconfigured, NoNodes
from tallynet.protocol.job import Task
from tallynet.protocol.units import prefixed


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """The options of every command that has a task done, in the order of `--help`."""

    templates: TemplatesOption = None
    show: ShowOption = False
    save: SaveOption = None
    max_tokens: TaskTokensOption = None
    temperature: TemperatureOption = 0.0
    node: NodeOption = ""
    max_price: PriceOption = None
    deadline: DeadlineOption = DEADLINE_SECONDS
    anchor_wait: AnchorOption = ANCHOR_WAIT_SECONDS
    audit_consent: ConsentOption = False
    no_keep: NoKeepOption = False
    network: NetworkOption = None
    as_json: JsonOption = False
    debug: DebugOption = False

    @property
    def proof(self) -> Proof:
        return Proof(self.save, self.anchor_wait)

    def read(self) -> AskOptions:
        """What the client takes of them. Raises `Misconfigured` for a node that is none, or no place to save at."""
        asked = ask_options(
            self.max_tokens, self.temperature, self.node, self.max_price, self.deadline, self.audit_consent
        )
        check_place(self.save)
        return asked


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


def choose_model(client: Client, model: str) -> str:
    """The model that was named, or the one that writes and that most nodes offer. Raises `NoNodes`."""
    if model:
        return model
    found = client.models(Task.GENERATE)
    if not found:
        raise NoNodes("Nobody offers a model that writes.")
    return prefixed(found[0].model)


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
