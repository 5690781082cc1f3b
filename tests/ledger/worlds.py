"""A ledger with an operator, two nodes and control over time, in memory and on an embedded chain (eth-tester)."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from eth_tester import EthereumTester, PyEVMBackend  # type: ignore[import-untyped]
from web3 import EthereumTesterProvider

from tallynet.ledger.chain import ChainLedger, ChainSettings
from tallynet.ledger.ledger import Ledger
from tallynet.ledger.memory import MemoryLedger
from tallynet.ledger.outbox import Pacing
from tallynet.protocol.keys import Key
from tallynet.protocol.merkle import leaf_hash
from tallynet.protocol.merkle_tree import Tree
from tallynet.protocol.units import Wei

ETHER = Wei(10**18)
UNBONDING = 3600
BOND = Wei(10**12)
"""Of the first challenge: small, as the sixteenth costs 2**15 times as much."""
ANSWER_SECONDS = 600
CONFIRMATIONS = 2
SETTINGS = ChainSettings(
    confirmations=CONFIRMATIONS, blocks_per_query=5, pacing=Pacing(give_up_seconds=5, poll_seconds=0.01)
)
OPERATOR, NODE, SECOND_NODE, RIVAL, DEPLOYER = (Key(bytes(31) + bytes([number])) for number in (1, 2, 3, 4, 5))
"""The keys that eth-tester gives coins to."""
TREE = Tree(leaf_hash(bytes([number])) for number in range(100))
MULTIADDR = "/ip4/192.0.2.1/tcp/4001/p2p/16Uiu2HAm"


@dataclass
class World:
    """One way to keep the promise."""

    ledger: Ledger
    pass_time: Callable[[int], None]
    """A block without transactions comes so many seconds later."""
    mine: Callable[[int], None]
    """So many blocks pass in which nothing happens."""
    mark: Callable[[], Callable[[], None]]
    """Remember the chain; what is returned makes it go on from there as if nothing had come after."""
    tester: EthereumTester | None = None


async def memory_world() -> World:
    seconds = [1_700_000_000]

    def pass_time(more: int) -> None:
        seconds[0] += more
        ledger.mine()

    ledger = MemoryLedger(
        minimum_stake=ETHER,
        unbonding_seconds=UNBONDING,
        challenge_bond=BOND,
        answer_seconds=ANSWER_SECONDS,
        confirmations=CONFIRMATIONS,
        clock=lambda: seconds[0],
    )

    def mark() -> Callable[[], None]:
        height = ledger._blocks.last.number
        return lambda: ledger.rewind(ledger._blocks.last.number - height)

    return World(ledger, pass_time, ledger.mine, mark)


async def chain_world() -> World:
    tester = EthereumTester(PyEVMBackend())
    ledger = await ChainLedger.deploy(
        EthereumTesterProvider(tester),
        DEPLOYER,
        minimum_stake=ETHER,
        unbonding_seconds=UNBONDING,
        challenge_bond=BOND,
        answer_seconds=ANSWER_SECONDS,
        settings=SETTINGS,
    )

    def pass_time(more: int) -> None:
        tester.time_travel(tester.get_block_by_number("pending")["timestamp"] + more)

    def mark() -> Callable[[], None]:
        snapshot = tester.take_snapshot()
        return lambda: tester.revert_to_snapshot(snapshot)

    return World(ledger, pass_time, tester.mine_blocks, mark, tester)


WORLDS: dict[str, Callable[[], Awaitable[World]]] = {"memory": memory_world, "chain": chain_world}
