"""Two hundred callers of one gateway, three nodes behind it, one of them killed in the middle.

Gateway, nodes and chain are processes, between them are the real libp2p and the real HTTP; only the model is a
stand-in. Nobody hangs: who is not answered whole hears why.
"""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import trio

from tallynet.protocol.bundle import read_bundle
from tallynet.protocol.bundle_checks import State, verify_bundle
from tallynet.protocol.units import prefixed
from tests.client.gateway.audience import Heard, attend
from tests.e2e.ground import Ground, open_ground
from tests.e2e.launcher import open_launcher

CALLERS = 200
NODES = 3
MODEL = "fake:fake@30"
"""40 tokens take 1.3 s, once they have a slot: longer than it takes to kill one node of three."""
PATIENCE_SECONDS = 150.0
LOOKED_AT = 6
"""Receipts that are checked, of those that came."""
COMMAND = [sys.executable, "-m", "tallynet.devnet.command"]


@asynccontextmanager
async def open_gateway(ground: Ground, folder: Path) -> AsyncIterator[str]:
    """`tallynet gateway` for the block; its URL."""
    own = {"TALLYNET_NETWORK": str(ground.network_path), "TALLYNET_CONFIG": str(folder), "TALLYNET_DATA": str(folder)}
    with (folder / "gateway.log").open("wb") as log:
        process = await trio.lowlevel.open_process(
            [*COMMAND, "gateway", "--listen", "127.0.0.1:0", "--json"],
            env={**os.environ, **own},
            stdout=subprocess.PIPE,
            stderr=log,
        )
    try:
        assert process.stdout is not None
        with trio.fail_after(PATIENCE_SECONDS):
            line = await process.stdout.receive_some()
        assert line, (folder / "gateway.log").read_text()
        yield str(json.loads(line)["url"])
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
            if process.stdout is not None:
                await process.stdout.aclose()


@pytest.mark.slow
async def test_a_node_is_killed_before_two_hundred_callers_and_nobody_hangs(tmp_path: Path) -> None:
    heard = [Heard() for _ in range(CALLERS)]
    async with (
        open_ground(tmp_path, MODEL, nodes=NODES) as ground,
        open_launcher(tmp_path) as launcher,
        open_gateway(ground, tmp_path) as url,
    ):
        pids = [(await launcher.start(seat))["pid"] for seat in ground.seats]
        with trio.fail_after(PATIENCE_SECONDS):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(attend, url, heard)
                victim = await someone_begins(heard)
                addresses = [prefixed(seat.member.key.address) for seat in ground.seats]
                dead = addresses.index(victim)
                await launcher.kill(pids[dead])
        await check_receipts(url, ground, [one for one in heard if one.whole][:: CALLERS // LOOKED_AT])

    report(heard)
    for one in heard:
        check_end(one, addresses[dead])
    assert sum(one.whole for one in heard) > CALLERS / 2
    assert any(one.text and not one.whole for one in heard)
    assert {one.tally["node"] for one in heard if one.whole and one.tally} >= set(addresses) - {addresses[dead]}


async def someone_begins(heard: list[Heard]) -> str:
    """Wait until some have their first words; the node that most of them have theirs from."""
    begun = 0
    async with trio.open_nursery() as nursery:

        async def count(one: Heard) -> None:
            nonlocal begun
            await one.begun.wait()
            begun += 1
            if begun == CALLERS // 10:
                nursery.cancel_scope.cancel()

        for one in heard:
            nursery.start_soon(count, one)
    nodes = [one.node for one in heard if one.text and not one.done]
    return max(set(nodes), key=nodes.count)


def check_end(one: Heard, dead: str) -> None:
    """A whole answer; or turned away, and told when to come back; or broken off by the node that died."""
    if one.whole:
        return
    assert one.error is not None
    if one.status == 200:
        assert one.text and not one.done
        assert one.error["code"] == "node_unreachable"
        assert one.tally is not None and one.tally["node"] == dead
        assert one.tally["tokens"] > 0 and len(one.tally["signature"]) == 2 + 2 * 65
    else:
        assert one.status in (429, 503)
        assert one.retry_after > 0


async def check_receipts(url: str, ground: Ground, heard: list[Heard]) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=30) as http:
        for one in heard:
            assert one.tally is not None
            bundle = read_bundle((await http.get(one.tally["receipt"])).text)
            states = {result.state for result in verify_bundle(bundle, ground.network.domain)}
            assert states <= {State.OK, State.PENDING}


def report(heard: list[Heard]) -> None:
    """What happened, for whoever looks."""
    broken = sum(one.status == 200 and not one.whole for one in heard)
    turned_away = sum(one.status != 200 for one in heard)
    print(f"{sum(one.whole for one in heard)} whole, {broken} broken off, {turned_away} turned away")
