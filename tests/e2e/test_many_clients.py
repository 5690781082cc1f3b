"""Four hundred strangers, one after the other: each dials the node, asks what it offers, and is gone.

The node is a process of its own with room for 256 connections, so that a slot that is not given back ends it; each
stranger is a libp2p host with a new key.
"""

import time
from pathlib import Path

import pytest
from tests.e2e.ground import Ground, open_ground
from tests.e2e.launcher import open_launcher

from tallynet.client import AsyncClient
from tallynet.network.address_book import AddressBook
from tallynet.network.discovery import ask_adverts
from tallynet.network.host import Libp2pTransport
from tallynet.protocol.keys import Key
from tallynet.protocol.leaf import Status
from tallynet.protocol.units import Milliseconds

STRANGERS = 400
JOB_EVERY = 40
"""So often a stranger does not only ask but has a job done."""


@pytest.mark.slow
async def test_four_hundred_short_lived_clients_in_a_row_are_all_served(tmp_path: Path) -> None:
    async with open_ground(tmp_path, "fake") as ground, open_launcher(tmp_path) as launcher:
        await launcher.start(ground.seat)
        began = time.monotonic()
        offers = [await ask(ground) for _ in range(STRANGERS)]
        print(f"{STRANGERS} clients in {time.monotonic() - began:.1f} s")
        size = (await ask_log(ground)).size

    assert offers == [1] * STRANGERS


"""E"""
