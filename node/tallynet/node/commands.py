"""`tallynet node`: make a node, register it, run it, look at it."""

import logging
import os
from pathlib import Path
from typing import Annotated

import typer

from tallynet.console.terminal import DebugOption, JsonOption, NetworkOption, command

node_app = typer.Typer(
    help="Run a node: serve a model, log and anchor every run.", no_args_is_help=True, rich_markup_mode="rich"
)

ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="The node's TOML file.")]
DEFAULT_CONFIG = Path("node.toml")
ModelsOption = Annotated[
    list[str] | None,
    typer.Option("--model", help="Directory, hub id, openai:URL#MODEL, or fake. Repeatable.", show_default=False),
]
GWEI_STAKE = 10**9


@node_app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Folder to make the node in.")] = Path("."),
    model: ModelsOption = None,
    network: NetworkOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Make a new node: a key (encrypted with TALLYNET_PASSWORD) and a commented configuration.

    Without --model it serves the fake, which writes words without sense.

    Example: tallynet node init my-node --model ./llama --network network.json
    """
    with command(as_json=as_json, debug=debug) as terminal:
        from tallynet.console.network_file import default_path
        from tallynet.node.founding import found_node
        from tallynet.protocol.units import prefixed

        network_path = (network or default_path()).absolute()
        config, key = found_node(folder, model or ["fake"], network_path, os.environ.get("TALLYNET_PASSWORD", ""))
        terminal.out.print(f"Node {prefixed(key.address)} is in {folder}.", soft_wrap=True)
        terminal.out.print(f"Next: read {config}, then `tallynet node register --config {config}`.", soft_wrap=True)
        terminal.result({"node": prefixed(key.address), "peer": key.peer_id, "config": str(config)})


@node_app.command()
def register(
    config: ConfigOption = DEFAULT_CONFIG,
    operator: Annotated[Path, typer.Option("--operator", help="Keystore of the account that stakes.")] = Path(
        "operator.json"
    ),
    stake: Annotated[float, typer.Option("--stake", help="Stake, in ether.", min=0)] = 1.0,
    address: Annotated[str, typer.Option("--address", help="Multiaddr where peers dial the node.")] = "",
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Stake for the node and publish its address. The operator's password is TALLYNET_OPERATOR_PASSWORD.

    Example: tallynet node register --config node.toml --operator operator.json --stake 1
    """
    with command(as_json=as_json, debug=debug) as terminal:
        import trio

        from tallynet.node.config import NodeConfig
        from tallynet.node.founding import register_node
        from tallynet.protocol.keystore import read_keystore
        from tallynet.protocol.units import Wei, prefixed

        settings = NodeConfig.read(config)
        owner = read_keystore(operator, os.environ.get("TALLYNET_OPERATOR_PASSWORD", ""))
        wei = Wei(round(stake * GWEI_STAKE) * 10**9)
        entry = trio.run(register_node, settings, owner, wei, address)
        terminal.out.print(f"Registered {prefixed(entry.node)} with a stake of {entry.stake / 10**18:g} ether.")
        terminal.result({"node": prefixed(entry.node), "operator": prefixed(entry.operator), "stake_wei": entry.stake})


@node_app.command()
def run(
    config: ConfigOption = DEFAULT_CONFIG,
    model: ModelsOption = None,
    ready: Annotated[Path | None, typer.Option("--ready", help="File to write once the node is ready.")] = None,
    debug: DebugOption = False,
) -> None:
    """Serve until Ctrl-C: running jobs finish first, the log is anchored, the market is told.

    With --model these models are served instead of those of the configuration.

    Example: tallynet node run --config my-node/node.toml --model ./llama --model ./embedder
    """
    with command(debug=debug, level=logging.INFO):
        import trio

        from tallynet.node.config import NodeConfig
        from tallynet.node.program import run_node

        trio.run(run_node, NodeConfig.read(config).serving(model or ()), ready)


@node_app.command()
def show(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False, debug: DebugOption = False) -> None:
    """Show what a running node says of itself: models, speed, memory, log, anchors.

    Example: tallynet node show --config my-node/node.toml
    """
    with command(as_json=as_json, debug=debug) as terminal:
        from tallynet.node.config import NodeConfig
        from tallynet.node.founding import ask_status
        from tallynet.node.status_view import print_status

        status = ask_status(NodeConfig.read(config))
        print_status(terminal.out, status)
        terminal.result(status)


@node_app.command()
def plan(
    models: Annotated[list[str], typer.Argument(help="Directory or hub id; several for one node.")],
    slots: Annotated[int, typer.Option("--slots", help="Most answers at the same time.", min=1)] = 16,
    context: Annotated[int, typer.Option("--context", help="Most tokens of each; 0: all it can.", min=0)] = 0,
    dtype: Annotated[str, typer.Option("--dtype", help="auto, float32, bfloat16 or float16.")] = "auto",
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")] = "auto",
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Tell what a model needs of the memory, before it is loaded; of several, what they need together.

    Several are planned as a node would take them: with contexts halved until all fit. Exits 1 when they do not.

    Example: tallynet node plan ./llama --slots 8 --context 4096
    """
    with command(as_json=as_json, debug=debug) as terminal:
        from tallynet.engine.budget import Wish
        from tallynet.node.plan_view import show_plan, show_plans

        wishes = [Wish(model, device, dtype, slots, context or None) for model in models]
        terminal.result(show_plan(terminal.out, wishes[0]) if len(wishes) == 1 else show_plans(terminal.out, wishes))
