"""`tallynet devnet`: a whole network on this machine, for development."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from tallynet.console.network_file import NetworkFile
from tallynet.console.terminal import DebugOption, JsonOption, Terminal, command

devnet_app = typer.Typer(
    help="A whole network on this machine: chain, contract, nodes.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@devnet_app.callback()
def devnet() -> None:
    """A whole network on this machine: chain, contract, nodes.

    Example: tallynet devnet up --nodes 3 --dir D
    """


@devnet_app.command()
def up(
    nodes: Annotated[int, typer.Option(help="How many nodes, 1 to 64.")] = 3,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Model directory or hub id, openai:URL#MODEL, or fake. Repeatable: every node serves all. "
            "Default: the tiny model.",
            show_default=False,
        ),
    ] = None,
    chain: Annotated[str, typer.Option(help="embedded, anvil, or the RPC URL of a development chain.")] = "embedded",
    folder: Annotated[
        Path | None,
        typer.Option("--dir", help="Where keys, logs and network.json go. Default: devnet in the data folder."),
    ] = None,
    anchor_seconds: Annotated[float, typer.Option(help="How old an entry may be before it is anchored.")] = 5.0,
    cheat: Annotated[
        list[str] | None,
        typer.Option(help="NODE=KIND[:N]: a node that cheats after N jobs, e.g. node-2=late-anchor:3. Repeatable."),
    ] = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Start a chain and nodes, and keep them running until Ctrl-C.

    Once everything is ready, D/network.json is there for --network, and three commands to try are shown.

    Example: tallynet devnet up --nodes 3 --dir D --model ./llama --model ./embedder
    """
    with command(as_json=as_json, debug=debug) as terminal:
        import trio

        from tallynet.console.folders import data_folder
        from tallynet.devnet.board import Board
        from tallynet.devnet.lifetime import stop_signal
        from tallynet.devnet.network import run_devnet
        from tallynet.devnet.plan import Plan

        first, *more = model or [""]
        plan = Plan(
            (folder or data_folder() / "devnet").absolute(),
            nodes,
            first,
            chain,
            anchor_seconds,
            more=tuple(more),
            cheats=tuple(cheat or ()),
        )

        def announce(path: Path, network: NetworkFile) -> None:
            _announce(terminal, path, network)

        trio.run(run_devnet, plan, Board(terminal.out), stop_signal, announce)
        terminal.notes.print("Everything has stopped.")


def _announce(terminal: Terminal, path: Path, network: NetworkFile) -> None:
    model, others = network.nodes[0].model, network.nodes[0].others
    terminal.out.print("\nReady. In another terminal:\n")
    for line in (
        f"export TALLYNET_NETWORK={shlex.quote(str(path))}",
        "tallynet models",
        f'tallynet ask {model} "What is the capital of Japan?" --save a.tally',
        "tallynet audit verify a.tally",
    ):
        terminal.out.print(f"  {line}", soft_wrap=True)
    terminal.out.print("\nCtrl-C stops everything.")
    nodes = [{"address": node.address, "multiaddr": node.multiaddr, "http": node.http} for node in network.nodes]
    terminal.result(
        {
            "network": str(path), "rpc_url": network.rpc_url, "contract": network.contract, "model": model,
            "models": [model, *others], "nodes": nodes,
        }
    )  # fmt: skip
