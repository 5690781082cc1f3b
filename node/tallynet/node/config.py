"""How one node is set up: a TOML file, overridden by `TALLYNET_NODE_<FIELD>` variables, checked once.

Paths in the file are relative to the file. The keystore's password comes from `TALLYNET_PASSWORD` alone, an upstream
server's key from the variable that the file names. A node serves one `model`, or all of its `models`.
"""

import dataclasses
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import msgspec

from tallynet.node.model_config import BOUNDS, ModelConfig, ModelTable, check_tables
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.job import MAX_TOKENS
from tallynet.protocol.opening import MIN_KEPT_SECONDS

PREFIX = "TALLYNET_NODE_"
SECRETS = {"password", "api_keys"}
"""Fields that no file holds."""
LISTS = {"models", "listen", "announce"}
"""Separated by commas in the environment."""
MAX_PROMISE_SECONDS = 24 * 3600
"""Clients refuse a receipt that promises its anchor later than this (spec chapter 4, check (16))."""


@dataclass(frozen=True)
class NodeConfig:
    """All settings of a node. Every field has its unit in its name or its text."""

    keystore: Path
    """The node's encrypted key."""
    data: Path
    """Folder of the log; one node at a time."""
    network: Path
    """Network file: chain, contract, bootstrap peers."""
    model: str = "fake"
    """`fake`, a directory of a Hugging Face model, a hub id, or `openai:URL#MODEL` for a server behind the node."""
    models: tuple[str | ModelTable, ...] = ()
    """Several models instead of one: each what `model` would be, or a table with settings of its own."""
    api_key_variable: str = ""
    """Name of the environment variable with that server's key; empty for none."""
    slots: int = 16
    """Most answers that are generated at the same time, of each model."""
    context_length: int = 0
    """Most tokens of prompt and answer together; 0 for what the model can hold and the memory allows."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda` or `mps`."""
    dtype: str = "auto"
    """`auto`, `float32`, `bfloat16` or `float16`."""
    listen: tuple[str, ...] = ("/ip4/0.0.0.0/tcp/4001",)
    """Multiaddrs to listen on; port 0 takes a free one."""
    announce: tuple[str, ...] = ()
    """Multiaddrs to advertise instead of those listened on, for a node behind a forwarded port."""
    http: str = "127.0.0.1:8080"
    """host:port of status, metrics and log; empty for none. It has no authentication: keep it on loopback or
    behind a proxy unless it is meant to be public."""
    queue: int = 64
    """Jobs accepted beyond those running, for each model; more are deferred."""
    max_tokens: int = 4096
    """Longest answer."""
    max_deadline_seconds: float = 3600.0
    """How far ahead a job's deadline may lie."""
    prompt_price_wei: int = 0
    """Per prompt token."""
    completion_price_wei: int = 0
    """Per answered token."""
    anchor_seconds: float = 300.0
    """Oldest age of an entry that is not anchored."""
    anchor_count: int = 1000
    """Entries that are anchored at once without waiting for their age."""
    promise_seconds: int = 3600
    """How long after a job its receipt promises the anchor; well above `anchor_seconds`."""
    advert_seconds: float = 10.0
    """How often the offer is repeated; it expires after six times as long."""
    keep_answers_seconds: int = 24 * 3600
    """How long finished answers are kept for clients that lost their connection."""
    keep_openings_seconds: int = 7 * 24 * 3600
    """How long runs with consent are kept for auditors who draw them, after the promised time of their anchor."""
    abandon_seconds: float = 15.0
    """How long a job runs on when nobody listens."""
    drain_seconds: float = 20.0
    """How long a stopping node lets its jobs finish."""
    password: str = field(default="", repr=False)
    api_keys: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Of upstream servers: the variable that holds it, and the key."""

    def __post_init__(self) -> None:
        """Raises `Misconfigured` for the first setting that cannot be."""
        for name, low, high in (
            *((name, *bounds) for name, bounds in BOUNDS.items()),
            ("queue", 0, 100_000),
            ("max_tokens", 1, MAX_TOKENS),
            ("max_deadline_seconds", 1, 7 * 24 * 3600),
            ("anchor_seconds", 0.1, 30 * 24 * 3600),
            ("anchor_count", 1, 1_000_000),
            ("advert_seconds", 0.2, 120),
            ("keep_answers_seconds", 0, 366 * 24 * 3600),
            ("keep_openings_seconds", MIN_KEPT_SECONDS, 366 * 24 * 3600),
            ("abandon_seconds", 0, 3600),
            ("drain_seconds", 0, 3600),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise Misconfigured(f"{name} is {value}, not within {low} to {high}.")
        if self.promise_seconds > MAX_PROMISE_SECONDS:
            raise Misconfigured(f"promise_seconds is {self.promise_seconds}, more than {MAX_PROMISE_SECONDS}.")
        if self.promise_seconds < 2 * self.anchor_seconds:
            raise Misconfigured(
                f"promise_seconds is {self.promise_seconds}, less than twice anchor_seconds ({self.anchor_seconds:g}).",
                remedy="Promise later or anchor sooner: a promise that is missed costs the stake.",
            )
        check_tables(self._tables, self.api_key_variable)

    @property
    def served(self) -> tuple[ModelConfig, ...]:
        """Every model with all of its settings, in the order in which they were written; one at least."""
        return tuple(ModelConfig.of(table, self, self._api_key(table)) for table in self._tables)

    def serving(self, models: Sequence[str]) -> Self:
        """The same node with these models instead, at its own settings; with its own models when there are none."""
        return dataclasses.replace(self, models=tuple(models)) if models else self

    @property
    def _tables(self) -> tuple[ModelTable, ...]:
        written = self.models or (self.model,)
        return tuple(ModelTable(model) if isinstance(model, str) else model for model in written)

    def _api_key(self, table: ModelTable) -> str:
        variable = self.api_key_variable if table.api_key_variable is None else table.api_key_variable
        return dict(self.api_keys).get(variable, "")

    @classmethod
    def read(cls, path: Path, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the file and the environment; raises `Misconfigured`."""
        try:
            settings = tomllib.loads(path.read_text())
        except OSError as error:
            raise Misconfigured(
                f"The config file {path} cannot be read: {error.strerror}.",
                remedy="Make one with `tallynet node init`, or name it with --config FILE.",
            ) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise Misconfigured(f"The config file {path} is not valid TOML: {error}.") from error
        return cls.build(settings, path.parent, environment)

    @classmethod
    def build(cls, settings: Mapping[str, Any], folder: Path, environment: Mapping[str, str]) -> Self:
        """Check the settings' names and types; paths are taken relative to `folder`."""
        fields = {f.name for f in dataclasses.fields(cls)} - SECRETS
        unknown = sorted(set(settings) - fields)
        if unknown:
            raise Misconfigured(
                f"Unknown setting {unknown[0]!r}.", remedy=f"The settings are: {', '.join(sorted(fields))}."
            )
        merged = _merge(settings, _from_environment(fields, environment))
        for name in ("keystore", "data", "network"):
            if name in merged:
                merged[name] = str(folder / str(merged[name]))
        try:
            config = msgspec.convert(
                {**merged, "password": environment.get("TALLYNET_PASSWORD", "")}, cls, strict=False, dec_hook=_as_path
            )
        except msgspec.ValidationError as error:
            raise Misconfigured(f"A setting is wrong: {error}.") from error
        return dataclasses.replace(
            config,
            model=_resolve(config.model, folder),
            models=tuple(_resolve_table(model, folder) for model in config.models),
            api_keys=_api_keys(config, environment),
        )


def _merge(settings: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """`model` and `models` say the same thing: both in one place is a mistake, and one overrides the other."""
    for place in (settings, overrides):
        if "model" in place and "models" in place:
            raise Misconfigured("Both model and models are set.", remedy="Keep one: models may list a single model.")
    other = {"model": "models", "models": "model"}
    dropped = {other[name] for name in overrides if name in other}
    return {**{name: value for name, value in settings.items() if name not in dropped}, **overrides}


def _resolve(model: str, folder: Path) -> str:
    """A path relative to the file, when there is such a directory; otherwise it is a hub id or another server."""
    if "/" not in model or Path(model).is_absolute():
        return model
    local = folder / model
    return str(local) if local.is_dir() else model


def _resolve_table(model: str | ModelTable, folder: Path) -> str | ModelTable:
    if isinstance(model, str):
        return _resolve(model, folder)
    return msgspec.structs.replace(model, model=_resolve(model.model, folder))


def _as_path(kind: type, value: object) -> Path:
    """What msgspec cannot build by itself; a ValueError becomes its own error."""
    if kind is not Path or not isinstance(value, str):
        raise ValueError(f"{value!r} is no {kind.__name__}")
    return Path(value)


def _api_keys(config: NodeConfig, environment: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Raises `Misconfigured` for a variable that is not set: without the key every job would fail."""
    tables = (model for model in config.models if isinstance(model, ModelTable))
    variables = {config.api_key_variable, *(table.api_key_variable or "" for table in tables)} - {""}
    for variable in sorted(variables):
        if not environment.get(variable):
            raise Misconfigured(
                f"api_key_variable names {variable!r}, which is not set.",
                remedy="Set the variable to the upstream server's key, or leave the setting out.",
            )
    return tuple((variable, environment[variable]) for variable in sorted(variables))


def _from_environment(fields: set[str], environment: Mapping[str, str]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name in fields:
        value = environment.get(PREFIX + name.upper())
        if value is not None:
            found[name] = tuple(value.split(",")) if name in LISTS else value
    return found
