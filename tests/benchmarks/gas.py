"""Gas of anchors, from real transactions on py-evm, against recording every job on the chain by itself."""

from tallynet.devnet.bench.report import Row
from tallynet.ledger.ledger import Ledger
from tallynet.protocol.keys import Key
from tallynet.protocol.merkle import leaf_hash
from tallynet.protocol.merkle_tree import Tree
from tallynet.protocol.units import Digest, JobId, Wei

OPERATOR, NODE = (Key(bytes(31) + bytes([number])) for number in (1, 2))
"""Two of the accounts that eth-tester funds."""
ETHER = 10**18
WORD = b"\xa5" * 32
BEFORE = 1000
"""Leaves under the first anchor, which pays for its storage and is not counted."""
MOST_PER_JOB = 70


async def measure_gas() -> list[Row]:
    """One row for each number of jobs under one anchor."""
    ledger = await _deploy()
    await ledger.register(OPERATOR, NODE, Wei(ETHER), "/ip4/192.0.2.1/tcp/4001/p2p/16Uiu2HAm")
    record = await ledger.record(NODE, JobId(WORD), Digest(WORD), Digest(WORD))
    tree = Tree(leaf_hash(number.to_bytes(8, "big")) for number in range(BEFORE + 1101))
    await ledger.anchor(NODE, BEFORE, tree.root(BEFORE), [])
    size, rows = BEFORE, []
    for jobs in (1, 100, 1000):
        anchor = await ledger.anchor(NODE, size + jobs, tree.root(size + jobs), tree.consistency(size, size + jobs))
        size += jobs
        rows.append(_row(jobs, anchor.gas, record.gas))
    return rows


async def _deploy() -> Ledger:
    from eth_tester import EthereumTester, PyEVMBackend  # type: ignore[import-untyped]  # slow to import
    from web3 import EthereumTesterProvider

    from tallynet.ledger.chain import ChainLedger, ChainSettings

    return await ChainLedger.deploy(
        EthereumTesterProvider(EthereumTester(PyEVMBackend())),
        OPERATOR,
        minimum_stake=Wei(ETHER),
        unbonding_seconds=60,
        settings=ChainSettings(confirmations=0),
    )


def _row(jobs: int, gas: int, recorded: int) -> Row:
    """The figure is the gas of one job's share; the baseline that of one job recorded directly."""
    share = gas / jobs
    aim, met = (f"≤ {MOST_PER_JOB}", share <= MOST_PER_JOB) if jobs == 1000 else ("", None)
    what = f"gas per job, {jobs:,} in {gas:,}"
    return Row(f"gas_{jobs}_job{'s'[: jobs > 1]}_per_anchor", what, share, "gas", recorded, share / recorded, aim, met)
