"""Slashing and challenges on Foundry's anvil: all tests of `test_court`, in the world of this file."""

from collections.abc import AsyncIterator

import pytest

from tallynet.ledger.chain import ChainLedger
from tests.ledger.anvil import Anvil, anvil_world
from tests.ledger.test_court import *  # noqa: F403
from tests.ledger.test_court import STAKE, anchor
from tests.ledger.worlds import MULTIADDR, NODE, OPERATOR, World
from tests.protocol.faults import FIRST_SIZE, SIZE

pytestmark = pytest.mark.anvil


@pytest.fixture  # type: ignore[no-redef]
async def world(anvil: Anvil) -> AsyncIterator[World]:
    """As the world of `test_court`: a node whose log was anchored twice, a hundred seconds apart."""
    world = await anvil_world(anvil)
    await world.ledger.register(OPERATOR, NODE, STAKE, MULTIADDR)
    await anchor(world.ledger, FIRST_SIZE)
    world.pass_time(100)
    await anchor(world.ledger, SIZE, FIRST_SIZE)
    world.pass_time(100)
    yield world
    assert isinstance(world.ledger, ChainLedger)
    await world.ledger.aclose()
