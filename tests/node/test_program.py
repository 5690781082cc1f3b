"""A node that starts before it is registered waits for that, but not for ever."""

import pytest
import trio
from trio.testing import MockClock

from tallynet.ledger import MemoryLedger
from tallynet.node.program import REGISTRATION_SECONDS, _check_registered
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.keys import Key
from tallynet.protocol.units import Wei

NODE, OPERATOR = Key.generate(), Key.generate()


async def test_node_that_nobody_registers_does_not_start(autojump_clock: MockClock) -> None:
    began = trio.current_time()

    with pytest.raises(Misconfigured, match="is not registered"):
        await _check_registered(MemoryLedger(), NODE)

    assert trio.current_time() - began == pytest.approx(REGISTRATION_SECONDS)


async def test_node_that_is_registered_while_it_starts_goes_on(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    ledger = MemoryLedger()

    async def register() -> None:
        await trio.sleep(REGISTRATION_SECONDS / 3)
        await ledger.register(OPERATOR, NODE, Wei(10**18), "/memory")

    nursery.start_soon(register)
    await _check_registered(ledger, NODE)

    assert await ledger.node(NODE.address) is not None
