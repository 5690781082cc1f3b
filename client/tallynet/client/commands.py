"""`tallynet models`, `tallynet nodes`, `tallynet ask`, `tallynet embed`."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from tallynet.client.blocking import Client
from tallynet.client.display import (
    describe_answer,
    describe_embedding,
    describe_model,
    describe_node,
    embeddings_table,
    models_table,
    nodes_table,
    remarks,
)
from tallynet.client.embedding import EmbedOptions
from tallynet.client.market import ModelOnOffer
from tallynet.client.options import (
    ANCHOR_WAIT_SECONDS,
    AnchorOption,
    ConsentOption,
    DeadlineOption,
    ModelArgument,
    NodeOption,
    NoKeepOption,
    PriceOption,
    SaveOption,
    SystemOption,
    TemperatureOption,
    TopKOption,
    TopPOption,
)
from tallynet.client.showing import keep_answer, show_answer, show_stream
from tallynet.client.terms import DEADLINE_SECONDS, AskOptions
from tallynet.console.terminal import FAILED, DebugOption, JsonOption, NetworkOption, Terminal, command
from tallynet.protocol.advert import Offer
from tallynet.protocol.errors import InvalidSignature, Misconfigured
from tallynet.protocol.job import MAX_TOKENS
from tallynet.protocol.keys import address_of_peer
from tallynet.protocol.request import MAX_REQUEST_BYTES, MAX_SCHEMA_CHARACTERS, Message, Request
from tallynet.protocol.units import Address

PromptArgument = Annotated[str, typer.Argument(help="The question; - reads it from stdin.", show_default=False)]
TextsArgument = Annotated[list[str], typer.Argument(help="The texts, one vector each.", show_default=False)]
RawOption = Annotated[bool, typer.Option("--raw", help="Continue the text as it is, without a chat template.")]
TokensOption = Annotated[int, typer.Option("--max-tokens", min=1, max=MAX_TOKENS, help="Longest answer.")]
StopOption = Annotated[
    list[str] | None, typer.Option("--stop", help="End before this text; may be repeated.", show_default=False)
]
SchemaOption = Annotated[
    Path | None, typer.Option("--schema", help="A file with a JSON schema: the answer is JSON that satisfies it.")
]
LogprobsOption = Annotated[bool, typer.Option("--logprobs", help="Show the whole answer, coloured where unsure.")]


def models(network: NetworkOption = None, as_json: JsonOption = False, debug: DebugOption = False) -> None:
    """List the models on offer: nodes, context, measured tokens per second, and price.

    Example: tallynet models --network D/network.json
    """
    with command(as_json=as_json, debug=debug) as terminal, open_client(network) as client:
        with terminal.notes.status("Looking for nodes…"):
            found = client.models()
        terminal.out.print(models_table(found))
        _remark(terminal, found)
        terminal.result({"models": [describe_model(model) for model in found]})


def nodes(network: NetworkOption = None, as_json: JsonOption = False, debug: DebugOption = False) -> None:
    """List the nodes that answer, and what each of them offers.

    Example: tallynet nodes --json
    """
    with command(as_json=as_json, debug=debug) as terminal, open_client(network) as client:
        with terminal.notes.status("Looking for nodes…"):
            found = client.nodes()
        terminal.out.print(nodes_table(found))
        _remark(terminal, [offer for known in found for offer in known.advert.offers])
        terminal.result({"nodes": [describe_node(known) for known in found]})


def ask(
    model: ModelArgument,
    prompt: PromptArgument,
    save: SaveOption = None,
    max_tokens: TokensOption = 256,
    temperature: TemperatureOption = 0.0,
    top_k: TopKOption = 0,
    top_p: TopPOption = 1.0,
    stop: StopOption = None,
    schema: SchemaOption = None,
    node: NodeOption = "",
    system: SystemOption = "",
    raw: RawOption = False,
    max_price: PriceOption = None,
    deadline: DeadlineOption = DEADLINE_SECONDS,
    anchor_wait: AnchorOption = ANCHOR_WAIT_SECONDS,
    logprobs: LogprobsOption = False,
    audit_consent: ConsentOption = False,
    no_keep: NoKeepOption = False,
    network: NetworkOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Ask a model. The answer is printed as it comes, every piece verified before it is shown.

    Exits 0 when the answer is whole, 1 when it is not or there is none, 2 on wrong usage. Ctrl-C cancels the job.

    Example: tallynet ask tally-tiny "What is the capital of Japan?" --save japan.tally

    Example: tallynet ask tally-tiny "A city in Japan?" --schema city.json
    """
    with command(as_json=as_json, debug=debug) as terminal:
        request = read_request(prompt, system, raw)
        options = AskOptions(
            max_tokens=max_tokens, temperature=temperature, top_k=top_k, top_p=top_p, stop=stop or (),
            schema=read_schema(schema), deadline_seconds=deadline, max_price_wei=max_price, node=read_node(node),
            audit_consent=audit_consent,
        )  # fmt: skip
        check_place(save)
        with open_client(network, keep=not no_keep) as client:
            if logprobs:
                answer = show_answer(client, model, request, options, terminal)
            else:
                answer = show_stream(client.stream(model, request, **options), terminal)
            evidence = keep_answer(client, answer, save, anchor_wait, terminal) if save else answer.evidence
        told = describe_answer(answer, evidence=evidence, saved=save)
        terminal.result({**told, "logprobs": list(answer.logprobs)} if logprobs else told)
        if not answer.status.finished:
            raise typer.Exit(FAILED)


def embed(
    model: ModelArgument,
    texts: TextsArgument,
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
    """Turn texts into vectors of length 1, each with its receipt. The vectors themselves are in the JSON.

    Example: tallynet embed my-embedder "A text." "Another text." --json
    """
    with command(as_json=as_json, debug=debug) as terminal:
        if save is not None and len(texts) > 1:
            raise Misconfigured("--save keeps the proof of one text.", remedy="Name one text, or leave out --save.")
        check_place(save)
        options = EmbedOptions(
            deadline_seconds=deadline, max_price_wei=max_price, node=read_node(node), audit_consent=audit_consent
        )
        with open_client(network, keep=not no_keep) as client, terminal.notes.status("Waiting for the vectors…"):
            embeddings = client.embed(model, texts, **options)
        if save is not None:
            embeddings[0].answer.save(save)
        terminal.out.print(embeddings_table(texts, embeddings))
        terminal.result({"embeddings": [describe_embedding(embedding, saved=save) for embedding in embeddings]})


def open_client(network: Path | None, *, keep: bool = True) -> Client:
    """The client that a command uses."""
    return Client(network, keep=keep)


def read_request(prompt: str, system: str, raw: bool) -> Request:
    """What the arguments ask. Raises `Misconfigured` for a combination that makes no sense."""
    text = read_text(prompt)
    if raw and system:
        raise Misconfigured("--raw and --system exclude each other.", remedy="Write the instructions into the text.")
    if not text:
        raise Misconfigured("The question is empty.", remedy="Write it in quotes after the model's name.")
    if raw:
        return Request(text=text)
    instructions = (Message("system", system),) if system else ()
    return Request(messages=(*instructions, Message("user", text)))


def read_text(argument: str) -> str:
    """The argument, or what stands on stdin in place of `-`. Raises `Misconfigured`."""
    return _read_stdin() if argument == "-" else argument


def read_node(text: str) -> Address | None:
    """A node by its address or peer id; None for an empty text. Raises `Misconfigured`."""
    if not text:
        return None
    try:
        address = bytes.fromhex(text[2:]) if text.startswith("0x") else address_of_peer(text)
        if len(address) != 20:
            raise ValueError(f"{len(address)} bytes")
        return Address(address)
    except (ValueError, InvalidSignature) as error:
        raise Misconfigured(
            f"{text[:80]!r} names no node.", remedy="`tallynet nodes` lists the addresses, 0x and 40 hex digits."
        ) from error


def read_schema(path: Path | None) -> str:
    """A schema from its file; empty for none. Raises `Misconfigured` for a file that cannot be read."""
    if path is None:
        return ""
    try:
        with path.open("rb") as file:
            return file.read(4 * MAX_SCHEMA_CHARACTERS + 1).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"The schema {path} cannot be read: {error}.", remedy="Name a file with JSON.") from error


def check_place(save: Path | None) -> None:
    """Raise `Misconfigured` while nothing has been paid yet, if nothing can be saved there."""
    if save is not None and (save.is_dir() or not save.resolve().parent.is_dir()):
        raise Misconfigured(f"The bundle cannot be written to {save}.", remedy="Name a file in a folder that exists.")


def _remark(terminal: Terminal, offers: Iterable[ModelOnOffer | Offer]) -> None:
    text = remarks(offers)
    if text:
        terminal.out.print(text)


def _read_stdin() -> str:
    """Raises `Misconfigured` for more than a request can hold, or for what is no UTF-8."""
    data = sys.stdin.buffer.read(MAX_REQUEST_BYTES + 1)
    if len(data) > MAX_REQUEST_BYTES:
        raise Misconfigured(f"The text on stdin has more than {MAX_REQUEST_BYTES} bytes.", remedy="Shorten it.")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Misconfigured(f"The text on stdin is no UTF-8: {error}.", remedy="Convert it to UTF-8.") from error
