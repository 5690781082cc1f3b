"""Two hundred callers at once before three nodes: nobody hangs, whatever happens to a node."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pytest
import trio

from tallynet.devnet.world import Clock, World, memory_world, real_world
from tallynet.engine import FakeEngine
from tallynet.network.memory import MemoryNetwork, MemoryTransport
from tallynet.protocol.units import prefixed
from tests.client.gateway.audience import Heard, attend, listen
from tests.client.gateway.stage import open_stage

CALLERS = 200
NODES = 3
PATIENCE_SECONDS = 120.0

pytestmark = pytest.mark.slow


def paced() -> FakeEngine:
    """40 tokens take 0.4 s."""
    return FakeEngine(tokens_per_second=100, end_every=1_000_000)


@dataclass
class Wire:
    """A memory world whose peers can be cut off."""

    peers: MemoryNetwork = field(default_factory=MemoryNetwork)

    @asynccontextmanager
    async def world(self, clock: Clock) -> AsyncIterator[World]:
        async with memory_world(clock) as world:
            peers = self.peers
            yield replace(world, transport=lambda key, listen, _: MemoryTransport(peers, key, listen=bool(listen)))


async def test_everybody_is_answered(tmp_path: Path) -> None:
    async with open_stage(tmp_path, nodes=NODES, engine=paced) as stage:
        heard = await listen(stage.url, CALLERS, PATIENCE_SECONDS)

    assert [one.error for one in heard if not one.whole] == []
    assert len({one.tally["job"] for one in heard if one.tally}) == CALLERS
    assert len({one.tally["node"] for one in heard if one.tally}) == NODES


async def test_everybody_is_answered_over_libp2p(tmp_path: Path) -> None:
    """All peers share one loop here: whom it keeps waiting for too long is told when to come back."""
    async with open_stage(tmp_path, nodes=NODES, engine=paced, devnet={"world": real_world}) as stage:
        heard = await listen(stage.url, CALLERS // 5, PATIENCE_SECONDS)

    assert all(one.whole or (one.status == 503 and one.retry_after > 0) for one in heard)
    assert sum(one.whole for one in heard) > len(heard) / 2


async def test_who_finds_no_room_is_told_when_to_come_back(tmp_path: Path) -> None:
    async with open_stage(tmp_path, nodes=NODES, engine=paced, max_open_jobs=20) as stage:
        heard = await listen(stage.url, 60, PATIENCE_SECONDS)

    turned_away = [one for one in heard if one.status == 503]
    assert sum(one.whole for one in heard) == 60 - len(turned_away) >= 20
    assert turned_away
    assert all(one.retry_after > 0 and one.error and one.error["code"] == "gateway_busy" for one in turned_away)


async def test_who_finds_all_nodes_busy_is_told_when_to_come_back(tmp_path: Path) -> None:
    """A node without a queue says that the next place is free in 6.4 s: later than the deadline of these callers."""
    slow = partial(FakeEngine, tokens_per_second=40, end_every=1_000_000)
    settings = {"settings": {"queue": 0}}
    async with open_stage(tmp_path, nodes=NODES, engine=slow, deadline_seconds=6.0, devnet=settings) as stage:
        heard = await listen(stage.url, 40, PATIENCE_SECONDS)

    turned_away = [one for one in heard if not one.whole]
    assert len(turned_away) == 40 - 4 * NODES
    assert {(one.status, one.error["code"]) for one in turned_away if one.error} == {(503, "nodes_busy")}
    assert all(one.retry_after == 7 for one in turned_away)


async def test_a_node_dies_in_the_middle(tmp_path: Path) -> None:
    """What it had not begun moves over; what it had begun ends with an error that holds its last signature."""
    wire, heard = Wire(), [Heard() for _ in range(CALLERS)]
    async with (
        open_stage(tmp_path, nodes=NODES, engine=paced, devnet={"world": wire.world}) as stage,
        trio.open_nursery() as nursery,
    ):
        with trio.fail_after(PATIENCE_SECONDS):
            async with trio.open_nursery() as audience:
                audience.start_soon(attend, stage.url, heard)
                dead = stage.devnet.nodes[0]
                while not any(one.node == prefixed(dead.address) and one.text and not one.done for one in heard):
                    await trio.sleep(0.01)
                wire.peers.cut(dead.peer.peer)
        nursery.cancel_scope.cancel()

    broken = [one for one in heard if not one.whole]
    assert 0 < len(broken) < CALLERS / NODES
    for one in broken:
        assert one.text and not one.done
        assert one.error and one.error["code"] == "node_unreachable"
        assert one.tally and one.tally["node"] == prefixed(dead.address)
        assert one.tally["tokens"] > 0 and len(one.tally["signature"]) == 2 + 2 * 65
    assert sum(one.whole for one in heard) == CALLERS - len(broken)
