"""The world that most tests of the client begin with. Those that wait ask for `autojump_clock` as well."""

from collections.abc import AsyncIterator

import pytest
import trio

from tests.client.world import World


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with trio.open_nursery() as nursery:
        yield World(nursery)
        nursery.cancel_scope.cancel()
