"""One model that a node serves, as an operator writes it and as the node takes it."""

from dataclasses import dataclass, field
from typing import Protocol, Self
from urllib.parse import urlsplit

from msgspec import Struct

from tallynet.protocol.errors import Misconfigured

UPSTREAM = "openai:"
MAX_MODELS = 32
"""So many offers fit in one message of gossip, however long their names are (spec chapter 2, "Finding nodes")."""

BOUNDS = {
    "slots": (1, 1024),
    "context_length": (0, 2**24),
    "prompt_price_wei": (0, 2**53 - 1),
    "completion_price_wei": (0, 2**53 - 1),
}


class ModelTable(Struct, frozen=True, forbid_unknown_fields=True):
    """A `[[models]]` table. What it leaves out is as the node's own setting of that name."""

    model: str
    slots: int | None = None
    context_length: int | None = None
    device: str | None = None
    dtype: str | None = None
    prompt_price_wei: int | None = None
    completion_price_wei: int | None = None
    api_key_variable: str | None = None

    def check(self) -> None:
        """Raises `Misconfigured` for the first setting that cannot be."""
        for name, (low, high) in BOUNDS.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise Misconfigured(f"{name} of model {self.model!r} is {value}, not within {low} to {high}.")


class Usual(Protocol):
    """What holds for every model whose table says nothing else: the node's own settings."""

    @property
    def slots(self) -> int: ...
    @property
    def context_length(self) -> int: ...
    @property
    def device(self) -> str: ...
    @property
    def dtype(self) -> str: ...
    @property
    def prompt_price_wei(self) -> int: ...
    @property
    def completion_price_wei(self) -> int: ...


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """All settings of one model; `NodeConfig` tells what each of them means."""

    model: str
    slots: int
    context_length: int
    device: str
    dtype: str
    prompt_price_wei: int
    completion_price_wei: int
    api_key: str = field(default="", repr=False)

    @classmethod
    def of(cls, table: ModelTable, usual: Usual, api_key: str) -> Self:
        """With the node's own settings where the table says nothing."""
        said = {name: getattr(table, name) for name in (*BOUNDS, "device", "dtype")}
        settings = {name: getattr(usual, name) if value is None else value for name, value in said.items()}
        return cls(model=table.model, **settings, api_key=api_key)


def check_tables(tables: tuple[ModelTable, ...], api_key_variable: str) -> None:
    """Raises `Misconfigured` for settings that cannot be, and for a key that would reach two servers."""
    if len(tables) > MAX_MODELS:
        raise Misconfigured(
            f"The node is to serve {len(tables)} models, more than {MAX_MODELS}.",
            remedy="Run a second node for the others, with a key and a data folder of its own.",
        )
    for table in tables:
        table.check()
    servers = {_server(table.model) for table in tables if table.api_key_variable is None} - {""}
    if api_key_variable and len(servers) > 1:
        raise Misconfigured(
            f"The key in {api_key_variable} would be sent to {len(servers)} servers: {', '.join(sorted(servers))}.",
            remedy="Give each of these models its own api_key_variable, in a [[models]] table.",
        )


def _server(model: str) -> str:
    """Host and port of the server behind a model; empty for every other model."""
    return urlsplit(model.removeprefix(UPSTREAM)).netloc if model.startswith(UPSTREAM) else ""
