"""Foundry's anvil as the chain under the ledger's tests: one process, a new contract for every test."""

import json
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tallynet.ledger.chain import ChainLedger
from tallynet.protocol.units import prefixed
from tests.ledger.worlds import (
    ANSWER_SECONDS,
    BOND,
    DEPLOYER,
    ETHER,
    NODE,
    OPERATOR,
    RIVAL,
    SECOND_NODE,
    SETTINGS,
    UNBONDING,
    World,
)

HOW_TO_GET_IT = "anvil is not on the PATH: npm install --global @foundry-rs/anvil"
RICH = 10**6 * ETHER
POLLS = 200


class Anvil:
    """A chain that makes a block for every transaction, and forgets or moves on as it is told."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, method: str, *params: object) -> Any:
        """The result of one call. Raises RuntimeError for an error, OSError when nobody answers."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as response:
            answer = json.load(response)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def pass_time(self, more: int) -> None:
        self.ask("evm_increaseTime", more)
        self.mine(1)

    def mine(self, blocks: int) -> None:
        self.ask("anvil_mine", blocks)

    def mark(self) -> Callable[[], None]:
        snapshot = self.ask("evm_snapshot")
        return lambda: self.ask("evm_revert", snapshot)

    def reorganise(self, depth: int) -> None:
        """Replace the last `depth` blocks by as many empty ones."""
        self.ask("anvil_reorg", depth, [])


@contextmanager
def run_anvil(folder: Path) -> Iterator[Anvil]:
    """A chain for the block; skips the test where the program is not installed. What it says goes to `folder`."""
    program = shutil.which("anvil")
    if program is None:
        pytest.skip(HOW_TO_GET_IT)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    said = folder / "anvil.log"
    command = [program, "--host", "127.0.0.1", "--port", str(port), "--silent"]
    with said.open("w") as log, subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT) as process:
        try:
            chain = Anvil(f"http://127.0.0.1:{port}")
            _wait_for(chain, process, said)
            for key in (DEPLOYER, OPERATOR, NODE, SECOND_NODE, RIVAL):
                chain.ask("anvil_setBalance", prefixed(key.address), hex(RICH))
            yield chain
        finally:
            process.terminate()


async def anvil_world(chain: Anvil) -> World:
    """A new contract on the chain, with the constants of the other worlds."""
    ledger = await ChainLedger.deploy(
        chain.url,
        DEPLOYER,
        minimum_stake=ETHER,
        unbonding_seconds=UNBONDING,
        challenge_bond=BOND,
        answer_seconds=ANSWER_SECONDS,
        settings=SETTINGS,
    )
    return World(ledger, chain.pass_time, chain.mine, chain.mark)


def _wait_for(chain: Anvil, process: "subprocess.Popen[bytes]", said: Path) -> None:
    for _ in range(POLLS):
        try:
            chain.ask("eth_chainId")
            return
        except OSError:
            try:
                process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
            break
    raise RuntimeError(f"anvil does not answer: {said.read_text()}")
