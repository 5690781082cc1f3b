"""`tallynet devnet cheats`: every cheat of a layer, tried and caught."""

from typing import Annotated

import typer

from tallynet.console.terminal import FAILED, DebugOption, JsonOption, Terminal, command


def cheats(
    layer: Annotated[str, typer.Option(help="Whose cheats: ledger or engine.")] = "ledger",
    real: Annotated[bool, typer.Option("--real", help="Over libp2p and TCP instead of in memory.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Engine layer: a few short runs of each cheat.")] = False,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Let nodes cheat in every known way, and find each with the auditor's tools.

    Ledger cheats run on an embedded chain, whose clock is moved on so that nothing has to be waited for, and lose
    their stake. Engine cheats are found by replay, on two models; 10 to 20 minutes, or --quick. Honest nodes do the
    same work, and nothing may be found against them. Exits 1 unless everything is as it must be.

    Example: tallynet devnet cheats --layer ledger --json
    """
    with command(as_json=as_json, debug=debug) as terminal:
        if layer == "engine":
            _try_engine(terminal, quick)
            return
        import logging
        from tempfile import TemporaryDirectory

        from tallynet.devnet.cheats.kinds import LAYERS
        from tallynet.protocol.errors import Misconfigured

        if layer not in LAYERS:
            raise Misconfigured(f"There is no layer {layer!r}.", remedy=f"There are: {', '.join((*LAYERS, 'engine'))}.")
        with terminal.notes.status("Starting a chain…") as status, TemporaryDirectory(prefix="tallynet-") as folder:
            from pathlib import Path

            import trio

            from tallynet.devnet.cheats.report import describe, table
            from tallynet.devnet.cheats.run import try_all
            from tallynet.devnet.world import chain_world, real_world

            if not debug:  # what a log would warn of is what the table tells
                logging.getLogger("tallynet").setLevel(logging.CRITICAL)
            world = real_world if real else chain_world
            results = trio.run(try_all, LAYERS[layer], world, Path(folder), status.update)
        terminal.out.print(table(results))
        terminal.result(describe(layer, results))
        if not all(result.good for result in results):
            raise typer.Exit(FAILED)


def _try_engine(terminal: Terminal, quick: bool) -> None:
    """The engine layer: no network, real models."""
    from pathlib import Path
    from tempfile import TemporaryDirectory

    with terminal.notes.status("Loading…") as status, TemporaryDirectory(prefix="tallynet-") as folder:
        from tallynet.devnet.cheats.engine_kinds import ENGINE
        from tallynet.devnet.cheats.engine_report import describe_engine, engine_table
        from tallynet.devnet.cheats.engine_run import QUICK, Effort, try_engine

        results = try_engine(ENGINE, Path(folder), status.update, QUICK if quick else Effort())
    terminal.out.print(engine_table(results))
    terminal.result(describe_engine(results))
    if not all(result.good for result in results):
        raise typer.Exit(FAILED)
