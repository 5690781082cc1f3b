"""The time of the embedded chain: that of the clock, however many blocks there are."""

import pytest
import trio

from tallynet.devnet.chain.accounts import funded_key
from tallynet.devnet.chain.evm import EmbeddedChain
from tallynet.devnet.chain.rpc import answer
from tallynet.devnet.chain.server import ChainServer
from tallynet.protocol.errors import Misconfigured


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def chain_at(clock: Clock) -> EmbeddedChain:
    return EmbeddedChain([funded_key().address], clock=clock)


def time_of(chain: EmbeddedChain) -> int:
    return chain.header(chain.number).timestamp


def test_many_blocks_in_one_second_share_it() -> None:
    clock = Clock()
    chain = chain_at(clock)

    for _ in range(50):
        chain.mine()

    assert chain.number == 50
    assert time_of(chain) == 1_000_000


def test_a_block_bears_the_present_second() -> None:
    clock = Clock()
    chain = chain_at(clock)
    chain.mine()
    clock.now += 3600.9

    chain.mine()

    assert time_of(chain) == 1_003_600


def test_a_clock_that_goes_back_does_not_take_the_chain_along() -> None:
    clock = Clock()
    chain = chain_at(clock)
    clock.now += 10
    chain.mine()
    clock.now -= 100

    chain.mine()

    assert time_of(chain) == 1_000_010


def test_time_can_be_moved_ahead() -> None:
    clock = Clock()
    chain = chain_at(clock)

    answer(chain, b'{"id": 1, "method": "evm_increaseTime", "params": [86400]}')
    answer(chain, b'{"id": 2, "method": "evm_mine"}')

    assert time_of(chain) == 1_086_400


def test_every_block_has_its_own_hash() -> None:
    chain = chain_at(Clock())

    for _ in range(5):
        chain.mine()

    assert len({chain.header(number).hash for number in range(6)}) == 6


async def test_the_timer_makes_blocks() -> None:
    chain = chain_at(Clock())

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            await nursery.start(ChainServer(chain, block_seconds=0.02).run)
            while chain.number < 3:
                await trio.sleep(0.01)
            nursery.cancel_scope.cancel()


async def test_a_port_that_is_taken_is_named() -> None:
    async with trio.open_nursery() as nursery:
        url = await nursery.start(ChainServer(chain_at(Clock())).run)
        port = int(url.rpartition(":")[2])

        with pytest.raises(Misconfigured, match=f"Port {port} of 127.0.0.1 cannot be used"):
            await ChainServer(chain_at(Clock())).run(port)
        nursery.cancel_scope.cancel()
