"""`tallynet devnet cheats`: every cheat of a layer, tried and caught."""

from typing import Annotated

import typer

from tallynet.console.terminal import FAILED, DebugOption, JsonOption, command


def cheats(
    layer: Annotated[str, typer.Option(help="Whose cheats: ledger.")] = "ledger",
    real: Annotated[bool, typer.Option("--real", help="Over libp2p and TCP instead of in memory.")] = False,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Let nodes cheat in every known way, find each with the auditor's tools and have its stake taken.

    All runs on an embedded chain, whose clock is moved on so that nothing has to be waited for. An honest node does
    the same work, and nothing may be found against it. Exits 1 unless everything is as it must be.

    Example: tallynet devnet cheats --layer ledger --json
    """
    with command(as_json=as_json, debug=debug) as terminal:
        import logging
        from tempfile import TemporaryDirectory

        from tallynet.devnet.cheats.kinds import LAYERS
        from tallynet.protocol.errors import Misconfigured

        if layer not in LAYERS:
            raise Misconfigured(f"There is no layer {layer!r}.", remedy=f"There is: {', '.join(LAYERS)}.")
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
