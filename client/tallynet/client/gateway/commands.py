"""`tallynet gateway`."""

from typing import Annotated

import typer

from tallynet.client.gateway.key_commands import KeysOption, key_file, keys_app
from tallynet.console.terminal import DebugOption, JsonOption, NetworkOption, command

gateway_app = typer.Typer(
    help="The network behind an OpenAI-compatible HTTP port, with a receipt for every answer.",
    invoke_without_command=True,
    pretty_exceptions_enable=False,
)
gateway_app.add_typer(keys_app, name="keys")


@gateway_app.callback()
def gateway(
    context: typer.Context,
    listen: Annotated[str, typer.Option("--listen", help="host:port; port 0 for any free one.")] = "127.0.0.1:8000",
    keys: KeysOption = None,
    deadline: Annotated[float, typer.Option("--deadline", help="Seconds for one answer, at most.")] = 120.0,
    rate: Annotated[int, typer.Option("--requests-per-minute", help="Of a key that has no limit of its own.")] = 600,
    cors: Annotated[list[str] | None, typer.Option("--cors", help="A web page that may call; repeatable.")] = None,
    no_keep: Annotated[bool, typer.Option("--no-keep", help="Do not keep receipts in the receipts folder.")] = False,
    network: NetworkOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Serve the network to OpenAI clients, until Ctrl-C. Without API keys only on this machine.

    Example: tallynet gateway --listen 127.0.0.1:8000
    """
    if context.invoked_subcommand is not None:
        return
    import logging

    with command(as_json=as_json, debug=debug, level=logging.INFO) as terminal:
        import trio

        from tallynet.client.gateway.config import GatewayConfig
        from tallynet.client.gateway.program import run_program
        from tallynet.console.folders import receipts_folder

        config = GatewayConfig(
            keys=key_file(keys), listen=listen, deadline_seconds=deadline, requests_per_minute=rate,
            cors_origins=tuple(cors or ()), receipts=None if no_keep else receipts_folder(),
        )  # fmt: skip
        trio.run(run_program, config, network, not no_keep, terminal)
