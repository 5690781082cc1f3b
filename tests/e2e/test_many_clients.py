"""Four hundred strangers in a row: each dials the node, asks what it offers, and is gone.

The node is a process of its own with room for 256 connections, so that slots which are not given back end it; every
stranger is a libp2p host with a new key. The next one comes when the last one has its answer.
"""

import time
from pathlib import Path

import pytest
import trio

from tallynet.client import AsyncClient
from tallynet.network.address_book import AddressBook
from tallynet.network.discovery import ask_adverts
from tallynet.network.host import Libp2pTransport
from tallynet.network.log_reader import LogReader
from tallynet.protocol.keys import Key
from tallynet.protocol.units import Milliseconds
from tests.e2e.ground import Ground, open_ground
from tests.e2e.launcher import open_launcher

STRANGERS = 400
JOB_EVERY = 40
"""So often one has a whole job done besides."""


@pytest.mark.slow
async def test_four_hundred_short_lived_clients_in_a_row_are_all_served(tmp_path: Path) -> None:
    async with open_ground(tmp_path, "fake") as ground, open_launcher(tmp_path) as launcher:
        await launcher.start(ground.seat)
        began = time.monotonic()
        async with trio.open_nursery() as leaving:
            told = [await leaving.start(_come, ground, number) for number in range(1, STRANGERS + 1)]
        print(f"{STRANGERS} strangers in {time.monotonic() - began:.1f} s")
        size = await _log_size(ground)

    assert len(told) == STRANGERS
    assert [index for index in told if index is not None] == list(range(STRANGERS // JOB_EVERY))
    assert size == STRANGERS // JOB_EVERY


async def _come(ground: Ground, number: int, *, task_status: trio.TaskStatus[int | None]) -> None:
    """One stranger's visit. Once served, reports the index of its job, if it had one, and then takes its leave."""
    transport = _stranger()
    if number % JOB_EVERY:
        async with transport.run():
            book = AddressBook(ground.network.domain, lambda: Milliseconds(time.time_ns() // 1_000_000))
            assert await ask_adverts(transport, ground.peer, book) == 1
            task_status.started(None)
    else:
        async with AsyncClient(ground.network, key=Key.generate(), transport=transport) as client:
            answer = await client.ask("fake", f"I am number {number}.", max_tokens=8)
            task_status.started(answer.index)


async def _log_size(ground: Ground) -> int:
    transport = _stranger()
    async with transport.run():
        return (await LogReader(transport, ground.peer, ground.network.domain).checkpoint()).checkpoint.size


def _stranger() -> Libp2pTransport:
    return Libp2pTransport(Key.generate(), listen=(), dht=False)
