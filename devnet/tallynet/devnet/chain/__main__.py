"""The chain as a program of its own, which `tallynet devnet up` starts."""

import os
from pathlib import Path
from typing import Annotated

import trio
import typer

from tallynet.console.terminal import DebugOption, Terminal, command
from tallynet.devnet.chain.accounts import funded_keys
from tallynet.devnet.chain.evm import CHAIN_ID, EmbeddedChain
from tallynet.devnet.chain.server import ChainServer
from tallynet.devnet.lifetime import stop_signal, write_ready

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8545,
    ready: Annotated[Path | None, typer.Option(help="Write the URL there, as JSON, once it answers.")] = None,
    block_seconds: Annotated[float, typer.Option(min=0.05, help="An empty block is made this often.")] = 1.0,
    debug: DebugOption = False,
) -> None:
    """Run an Ethereum chain in memory, for development, until interrupted.

    Example: python -m tallynet.devnet.chain --port 8545
    """
    with command(debug=debug) as terminal:
        trio.run(_run, port, ready, block_seconds, terminal)


async def _run(port: int, ready: Path | None, block_seconds: float, terminal: Terminal) -> None:
    chain = EmbeddedChain(key.address for key in funded_keys())
    async with trio.open_nursery() as nursery:
        url = await nursery.start(ChainServer(chain, block_seconds).run, port)
        if ready:
            write_ready(ready, {"rpc_url": url, "chain_id": CHAIN_ID, "pid": os.getpid()})
        terminal.notes.print(f"The chain answers at {url}. Ctrl-C ends it, and all that is on it.")
        await stop_signal()
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    app()
