"""`tallynet bench`: how fast it is here."""

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from tallynet.console.terminal import DebugOption, JsonOption, Terminal, command

if TYPE_CHECKING:
    from tallynet.devnet.bench.report import Row


class Work(Protocol):
    """What measures: with a folder of its own, telling what it is at."""

    def __call__(self, folder: Path, say: Callable[[str], None], *, quick: bool) -> "Awaitable[list[Row]]": ...


bench_app = typer.Typer(
    help="Measure this machine: every figure beside its baseline.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@bench_app.callback()
def bench() -> None:
    """Measure this machine: every figure beside its baseline.

    Example: tallynet bench ledger
    """


@bench_app.command()
def ledger(
    quick: Annotated[bool, typer.Option("--quick", help="Only see that it works; the figures mean nothing.")] = False,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Receipts, leaves, proofs and signers a second, the size of a bundle, the cost of an audit. About a minute.

    Example: tallynet bench ledger --json
    """
    with command(as_json=as_json, debug=debug) as terminal:
        from tallynet.devnet.bench.ledger import measure_ledger

        _measure(measure_ledger, terminal, quick)


@bench_app.command()
def gateway(
    quick: Annotated[bool, typer.Option("--quick", help="Only see that it works; the figures mean nothing.")] = False,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Tokens a second and time to the first token, through the gateway and from the engine. About a minute.

    Example: tallynet bench gateway --json
    """
    with command(as_json=as_json, debug=debug) as terminal:
        from tallynet.devnet.bench.gateway import measure_gateway

        _measure(measure_gateway, terminal, quick)


@bench_app.command()
def engine(
    rounds: Annotated[int, typer.Option("--rounds", help="Rounds whose median counts.", min=1)] = 5,
    network: Annotated[bool, typer.Option("--network", help="Also measure through the whole network.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Only see that it works; the figures mean nothing.")] = False,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """The engine against transformers' own ways to answer 32 mixed requests, on one thread. About five minutes.

    Example: tallynet bench engine --json --rounds 2
    """
    with command(as_json=as_json, debug=debug) as terminal:
        from pathlib import Path
        from tempfile import TemporaryDirectory

        from tallynet.devnet.bench.engine import measure_engine, measure_network
        from tallynet.devnet.bench.report import as_json as described
        from tallynet.devnet.bench.report import machine, table

        before = machine()
        with terminal.notes.status("Measuring…") as status, TemporaryDirectory(prefix="tallynet-") as folder:
            measured = measure_engine(Path(folder), status.update, rounds=rounds, quick=quick)
            rows = measured.rows
            if network:
                status.update("through the network…")
                rows = [*rows, measure_network(Path(folder) / "network", rounds, quick=quick)]
        terminal.out.print(table(rows))
        terminal.out.print(
            f"\n{measured.tokens_identical_to_generate} of {measured.requests} answers are those of generate, token for"
            f" token. {before['cores']} cores; load {before['load']} before, {machine()['load']} after."
        )
        terminal.result({**described(rows, before), **measured.summary()})


@bench_app.command()
def audit(
    quick: Annotated[bool, typer.Option("--quick", help="Only see that it works; the figures mean nothing.")] = False,
    large: Annotated[bool, typer.Option("--large/--no-large", help="Also at 100 million parameters.")] = True,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """The CPU time of a replay beside one plain prefill and beside generating, and what evidence costs. Minutes.

    Example: tallynet bench audit --json
    """
    with command(as_json=as_json, debug=debug) as terminal:
        from pathlib import Path
        from tempfile import TemporaryDirectory

        from tallynet.devnet.bench.replay import measure_replay
        from tallynet.devnet.bench.report import as_json as described
        from tallynet.devnet.bench.report import machine, table

        before = machine()
        with terminal.notes.status("Measuring…") as status, TemporaryDirectory(prefix="tallynet-") as folder:
            rows = measure_replay(Path(folder), status.update, quick=quick, large=large)
        terminal.out.print(table(rows))
        terminal.out.print(f"\n{before['cores']} cores; load {before['load']} before, {machine()['load']} after.")
        terminal.result(described(rows, before))


def _measure(work: Work, terminal: Terminal, quick: bool) -> None:
    from tempfile import TemporaryDirectory

    import trio

    from tallynet.devnet.bench.report import as_json, machine, table

    before = machine()
    with terminal.notes.status("Measuring…") as status, TemporaryDirectory(prefix="tallynet-") as folder:
        rows = trio.run(partial(work, Path(folder), status.update, quick=quick))
    terminal.out.print(table(rows))
    terminal.out.print(f"\n{before['cores']} cores; load {before['load']} before, {machine()['load']} after.")
    terminal.result(as_json(rows, before))
