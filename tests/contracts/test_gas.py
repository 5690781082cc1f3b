"""What each call costs, as whole transactions on py-evm, against the committed `contracts/gas-snapshot.json`.

When a change of the contract is meant to change a figure, the failing test prints the new file.
"""

import json

from eth_tester import EthereumTester, PyEVMBackend  # type: ignore[import-untyped]
from web3 import EthereumTesterProvider

from tallynet.ledger.chain import ChainLedger, ChainSettings
from tallynet.ledger.compile import SOURCES
from tallynet.protocol.keys import Key
from tallynet.protocol.merkle import Tree
from tallynet.protocol.units import Digest, JobId, Wei
from tests.contracts.machine import ETHER

SNAPSHOT = SOURCES / "gas-snapshot.json"
TOLERANCE = 0.01
MULTIADDR = "/ip4/192.0.2.1/tcp/4001/p2p/16Uiu2HAm9VQmVJrCVvXrLJ9XJbUKbqJfvKZ7nLSzPTWEhDHkAbCd"
OPERATOR, NODE = (Key(bytes(31) + bytes([number])) for number in (1, 2))
WORD = b"\xa5" * 32
MILLION = 10**6


async def measure(tree: Tree) -> dict[str, int]:
    tester = EthereumTester(PyEVMBackend())
    figures: dict[str, int] = {}

    def note(name: str) -> None:
        figures[name] = int(tester.get_block_by_number("latest")["gas_used"])

    ledger = await ChainLedger.deploy(
        EthereumTesterProvider(tester),
        OPERATOR,
        minimum_stake=Wei(ETHER),
        unbonding_seconds=60,
        settings=ChainSettings(confirmations=0),
    )
    note("deploy")
    await ledger.register(OPERATOR, NODE, Wei(ETHER), MULTIADDR)
    note("register")
    await ledger.register(OPERATOR, NODE, Wei(ETHER), MULTIADDR)
    note("register again")
    await ledger.record(NODE, JobId(WORD), Digest(WORD), Digest(WORD))
    note("record")
    await ledger.anchor(NODE, MILLION, tree.root(MILLION), [])
    note("anchor, first")
    for old, new in ((MILLION, MILLION + 1), (MILLION + 1, MILLION + 1001), (MILLION + 1001, MILLION + 30_001)):
        await ledger.anchor(NODE, new, tree.root(new), tree.consistency(old, new))
        note(f"anchor at 10^6, {new - old} more")
    await ledger.begin_exit(OPERATOR, NODE.address)
    note("begin_exit")
    tester.time_travel(await ledger.now() + 3600)
    await ledger.withdraw(OPERATOR, NODE.address)
    note("withdraw")
    return figures


async def test_gas_is_that_of_the_snapshot(million: Tree) -> None:
    measured = await measure(million)
    print(json.dumps(measured, indent=1))
    committed = json.loads(SNAPSHOT.read_text())

    assert measured.keys() == committed.keys()
    for name, gas in measured.items():
        assert abs(gas - committed[name]) <= TOLERANCE * committed[name], (name, gas, committed[name])


def test_an_anchor_of_a_million_runs_is_cheap() -> None:
    committed = json.loads(SNAPSHOT.read_text())

    assert max(gas for name, gas in committed.items() if "10^6" in name) <= 70_000
    assert committed["anchor at 10^6, 1000 more"] / 1000 < 70


def test_the_readme_tells_the_figures_of_the_snapshot() -> None:
    told = (SOURCES / "README.md").read_text()
    committed = json.loads(SNAPSHOT.read_text())
    names = ["deploy", "register", "anchor, first", "anchor at 10^6, 1000 more", "record", "begin_exit", "withdraw"]

    assert [name for name in names if f"| {committed[name]:,} |" not in told] == []
