"""`tallynet gateway keys`: who may use the gateway, and how much."""

import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from tallynet.console.folders import state_folder
from tallynet.console.moments import moment
from tallynet.console.terminal import DebugOption, JsonOption, command
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.units import Seconds

if TYPE_CHECKING:
    from tallynet.client.gateway.keys import KeyRow
    from tallynet.client.gateway.policy import Policy

keys_app = typer.Typer(
    help="API keys: who may use the gateway, and how much.", no_args_is_help=True, pretty_exceptions_enable=False
)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
NameArgument = Annotated[str, typer.Argument(help="Name of the key: letters, digits, . _ -", show_default=False)]
KeysOption = Annotated[
    Path | None,
    typer.Option("--keys", metavar="FILE", help="Key file. Default: gateway.sqlite in the state folder."),
]


@keys_app.callback()
def keys() -> None:
    """API keys: who may use the gateway, and how much.

    Example: tallynet gateway keys list
    """


@keys_app.command()
def add(
    name: NameArgument,
    tokens_per_day: Annotated[
        int | None, typer.Option(min=1, help="Prompt and answers together, a day UTC.", show_default=False)
    ] = None,
    requests_per_minute: Annotated[int | None, typer.Option(min=1, max=1_000_000, show_default=False)] = None,
    max_price: Annotated[
        int | None, typer.Option("--max-price", min=0, help="Ceiling of each job in wei.", show_default=False)
    ] = None,
    minimum_evidence: Annotated[str, typer.Option(help="signed, logged or anchored.")] = "signed",
    node: Annotated[list[str] | None, typer.Option(help="Only this node, 0x…; repeatable.", show_default=False)] = None,
    keys: KeysOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Make a key. Its secret is shown now and never again.

    Example: tallynet gateway keys add alice --tokens-per-day 100000
    """
    with command(as_json=as_json, debug=debug) as terminal:
        from tallynet.client.gateway.keys import Caller, open_keys

        if not _NAME.fullmatch(name):
            raise Misconfigured(f"{name!r} is no name for a key.", remedy="Use letters, digits, dot, _ and -.")
        policy = _policy(max_price, minimum_evidence, node or [])
        with open_keys(key_file(keys)) as store:
            secret = store.add(Caller(name, tokens_per_day, requests_per_minute, policy), _now())
        terminal.out.print(secret, soft_wrap=True)
        terminal.notes.print("Keep it: it is not stored, and cannot be shown again.", style="dim")
        terminal.result({"name": name, "secret": secret})


@keys_app.command("list")
def list_keys(keys: KeysOption = None, as_json: JsonOption = False, debug: DebugOption = False) -> None:
    """List the keys, their limits, and what each has used.

    Example: tallynet gateway keys list
    """
    with command(as_json=as_json, debug=debug) as terminal:
        from tallynet.client.gateway.keys import KeyRow, open_keys

        def describe(row: KeyRow) -> dict[str, object]:
            return {
                "name": row.caller.name, "made": row.made, "revoked": row.revoked, "runs": row.runs,
                "tokens_today": row.tokens_today, "tokens_per_day": row.caller.tokens_per_day,
                "requests_per_minute": row.caller.requests_per_minute,
            }  # fmt: skip

        with open_keys(key_file(keys)) as store:
            rows = store.rows(_now())
        terminal.out.print(_table(rows))
        terminal.result({"keys": [_describe(row) for row in rows]})


@keys_app.command()
def revoke(
    name: NameArgument, keys: KeysOption = None, as_json: JsonOption = False, debug: DebugOption = False
) -> None:
    """Revoke a key, at once and for good, also for a gateway that is running.

    Example: tallynet gateway keys revoke alice
    """
    with command(as_json=as_json, debug=debug) as terminal:
        from tallynet.client.gateway.keys import open_keys

        with open_keys(key_file(keys)) as store:
            store.revoke(name, _now())
        terminal.out.print(f"The key {name} is revoked.")
        terminal.result({"revoked": name})


def key_file(path: Path | None) -> Path:
    """Where the keys are, `path` or the user's own."""
    return path or state_folder() / "gateway.sqlite"


def _policy(max_price: int | None, evidence: str, nodes: list[str]) -> "Policy":
    """Raises `Misconfigured`."""
    import msgspec

    from tallynet.client.gateway.policy import Policy

    given = {"max_price_wei": max_price, "minimum_evidence": evidence, "nodes": nodes}
    try:
        return msgspec.convert(given, Policy)
    except msgspec.ValidationError as error:
        raise Misconfigured(f"The policy of the key is not valid: {error}.") from error


def _table(rows: "Sequence[KeyRow]") -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("KEY", "MADE", "RUNS", "TOKENS TODAY", ""):
        table.add_column(column)
    for row in rows:
        most = row.caller.tokens_per_day
        used = f"{row.tokens_today}" if most is None else f"{row.tokens_today} of {most}"
        table.add_row(row.caller.name, moment(row.made), str(row.runs), used, "revoked" if row.revoked else "")
    return table


def _describe(row: "KeyRow") -> dict[str, object]:
    return {
        "name": row.caller.name,
        "made": row.made,
        "revoked": row.revoked,
        "runs": row.runs,
        "tokens_today": row.tokens_today,
        "tokens_per_day": row.caller.tokens_per_day,
        "requests_per_minute": row.caller.requests_per_minute,
    }


def _now() -> Seconds:
    return Seconds(int(time.time()))
