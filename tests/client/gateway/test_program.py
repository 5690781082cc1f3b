"""`tallynet gateway` as its users run it: a process that says where it serves, answers, and ends on Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import trio

from tallynet.console.network_file import write_network
from tallynet.devnet.fixture import Devnet, open_devnet
from tallynet.devnet.world import real_world
from tallynet.protocol.bundle import read_bundle
from tests.client.gateway.stage import chat_body

pytestmark = pytest.mark.slow


@asynccontextmanager
async def running(devnet: Devnet, folder: Path, *options: str) -> AsyncIterator[tuple[trio.Process, str]]:
    """The process and its URL. Logs go to `folder`/stderr."""
    write_network(folder / "network.json", devnet.network)
    command = [sys.executable, "-m", "tallynet.devnet.command", "gateway", "--json", "--listen", "127.0.0.1:0"]
    environment = {**os.environ, "TALLYNET_CONFIG": str(folder), "TALLYNET_STATE": str(folder / "state")}
    with (folder / "stderr").open("w") as stderr:
        process = await trio.lowlevel.open_process(
            [*command, "--network", str(folder / "network.json"), *options],
            stdout=subprocess.PIPE, stderr=stderr, env=environment,
        )  # fmt: skip
    try:
        assert process.stdout is not None
        async with process.stdout:
            with trio.fail_after(60):
                said = await process.stdout.receive_some()
            assert said, (folder / "stderr").read_text()
            yield process, json.loads(said)["url"]
    finally:
        process.kill()
        await process.wait()


async def test_it_serves_and_ends_on_ctrl_c(tmp_path: Path) -> None:
    async with (
        open_devnet(tmp_path / "nodes", world=real_world) as devnet,
        running(devnet, tmp_path) as (process, url),
    ):
        async with httpx.AsyncClient(base_url=url, timeout=60) as http:
            answer = await http.post("/v1/chat/completions", json=chat_body())
            receipt = await http.get(answer.json()["tally"]["receipt"])
        process.send_signal(signal.SIGINT)
        with trio.fail_after(20):
            code = await process.wait()

    job = answer.json()["tally"]["job"]
    assert (answer.status_code, code) == (200, 0)
    assert read_bundle(receipt.text).opening is not None
    kept = read_bundle((tmp_path / "state" / "receipts" / f"{job[2:]}.tally").read_text())
    assert kept.opening is None
    log = (tmp_path / "stderr").read_text()
    assert "POST /v1/chat/completions 200 model=fake jobs=" in log
    assert "capital of Japan" not in log
