"""The promise of a ledger, kept on Foundry's anvil as on the other chains; and its reorganisations. `make test-anvil`.

All tests of `test_promise` run here too, in the world of this file.
"""

from collections.abc import AsyncIterator

import pytest

from tallynet.ledger.chain import ChainLedger
from tests.ledger.anvil import Anvil, anvil_world
from tests.ledger.test_promise import *  # noqa: F403
from tests.ledger.worlds import ETHER, MULTIADDR, NODE, OPERATOR, TREE, World

pytestmark = pytest.mark.anvil


@pytest.fixture  # type: ignore[no-redef]
async def world(anvil: Anvil) -> AsyncIterator[World]:
    world = await anvil_world(anvil)
    yield world
    assert isinstance(world.ledger, ChainLedger)
    await world.ledger.aclose()


async def test_a_node_anchors_again_what_a_reorganisation_took(anvil: Anvil, world: World) -> None:
    ledger = world.ledger
    await ledger.register(OPERATOR, NODE, ETHER, MULTIADDR)
    kept = await ledger.anchor(NODE, 7, TREE.root(7), [])
    lost = await ledger.anchor(NODE, 50, TREE.root(50), TREE.consistency(7, 50))
    anvil.reorganise(1)

    assert [found.block_hash for found in await ledger.anchors(NODE.address)] == [kept.block_hash]
    assert (await ledger.head(NODE.address)).size == 7
    again = await ledger.anchor(NODE, 50, TREE.root(50), TREE.consistency(7, 50))
    assert again.block_hash != lost.block_hash
    assert [found.size for found in await ledger.anchors(NODE.address)] == [7, 50]


async def test_a_registration_that_a_reorganisation_took_is_gone(anvil: Anvil, world: World) -> None:
    await world.ledger.register(OPERATOR, NODE, ETHER, MULTIADDR)
    anvil.reorganise(1)

    assert await world.ledger.node(NODE.address) is None
    await world.ledger.register(OPERATOR, NODE, ETHER, MULTIADDR)
    assert await world.ledger.node(NODE.address) is not None
