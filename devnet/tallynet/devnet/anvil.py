"""Foundry's anvil as the chain of a devnet: started, waited for and ended like the embedded one.

It makes a block for every transaction and one every second besides, as the embedded chain does.
"""

import json
import shutil
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Annotated

import trio
import typer

from tallynet.console.terminal import DebugOption, command
from tallynet.devnet.lifetime import POLL_SECONDS, free_ports, stop_signal, write_ready
from tallynet.protocol.errors import ChainUnreachable, Misconfigured

START_SECONDS = 30.0
_CHAIN_ID = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}).encode()

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8545,
    ready: Annotated[Path | None, typer.Option(help="Write the URL there, as JSON, once it answers.")] = None,
    debug: DebugOption = False,
) -> None:
    """Run anvil until interrupted.

    Example: python -m tallynet.devnet.anvil --port 8545
    """
    with command(debug=debug):
        trio.run(_run, port or free_ports(1)[0], ready)


async def _run(port: int, ready: Path | None) -> None:
    url = f"http://127.0.0.1:{port}"
    process = await trio.lowlevel.open_process(_command_line(port), stdin=subprocess.DEVNULL)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_watch, process)
            await _until_it_answers(url)
            if ready:
                write_ready(ready, {"rpc_url": url, "pid": process.pid})
            await stop_signal()
            nursery.cancel_scope.cancel()
    finally:
        process.terminate()
        with trio.CancelScope(shield=True):
            await process.wait()


def _command_line(port: int) -> list[str]:
    program = shutil.which("anvil")
    if not program:
        raise Misconfigured(
            "There is no program `anvil` on the PATH.",
            remedy="Install Foundry, or use --chain embedded, which needs nothing.",
        )
    return [program, "--host", "127.0.0.1", "--port", str(port), "--block-time", "1", "--mixed-mining", "--silent"]


async def _watch(process: trio.Process) -> None:
    code = await process.wait()
    raise ChainUnreachable(f"anvil ended with exit code {code}.")


async def _until_it_answers(url: str) -> None:
    with trio.move_on_after(START_SECONDS):
        while not await trio.to_thread.run_sync(_answers, url):
            await trio.sleep(POLL_SECONDS)
        return
    raise ChainUnreachable(f"anvil does not answer at {url} after {START_SECONDS:g} s.")


def _answers(url: str) -> bool:
    request = urllib.request.Request(url, _CHAIN_ID, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=1) as answer:
            return bool(json.load(answer).get("result"))
    except (urllib.error.URLError, OSError, ValueError):
        return False


if __name__ == "__main__":
    app()
