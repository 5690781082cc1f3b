"""What `tallynet gateway` runs: client, port, and a word on how to use it, until Ctrl-C or SIGTERM."""

import signal
from pathlib import Path

import trio

from tallynet.client.client import AsyncClient
from tallynet.client.gateway.config import GatewayConfig
from tallynet.client.gateway.serving import run_gateway
from tallynet.console.terminal import Terminal


async def run_program(config: GatewayConfig, network: Path | None, keep: bool, terminal: Terminal) -> None:
    """Raises `Misconfigured` for what keeps the gateway from starting."""
    async with AsyncClient(network, keep=keep) as client, trio.open_nursery() as nursery:
        url = await nursery.start(run_gateway, config, client)
        terminal.out.print(f"Serving {url}/v1. In another terminal:\n", soft_wrap=True)
        terminal.out.print(f"  export OPENAI_BASE_URL={url}/v1 OPENAI_API_KEY=unused", soft_wrap=True)
        terminal.out.print("\nCtrl-C stops it.")
        terminal.result({"url": url})
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for _ in signals:
                break
        nursery.cancel_scope.cancel()
