"""What each call costs, as whole transactions on py-evm, against the committed `contracts/gas-snapshot.json`.

When a change of the contract is meant to change a figure: `python -m tests.contracts.gas --write`.
"""

import json

import pytest

from tallynet.ledger.compile import SOURCES
from tests.contracts.gas import SNAPSHOT, Row, measure, row
from tests.contracts.meter import million

TOLERANCE = 0.01
TOLD = [
    "deploy",
    "register",
    "anchor, first",
    "anchor at 10^6, 1,000 more",
    "record",
    "attest",
    "begin_exit",
    "withdraw",
]
TOLD += ["slash_late", "slash_leaf", "slash_pair", "slash_fork", "slash_prefix", "challenge", "answer", "finalize"]


@pytest.fixture(scope="module")
def measured() -> list[Row]:
    return measure(million())


@pytest.mark.slow
def test_gas_is_that_of_the_snapshot(measured: list[Row]) -> None:
    committed = json.loads(SNAPSHOT.read_text())

    assert [found.operation for found in measured] == list(committed)
    for found in measured:
        noted = committed[found.operation]
        assert abs(found.mean - noted["mean"]) <= TOLERANCE * noted["mean"], found
        assert abs(found.most - noted["most"]) <= TOLERANCE * noted["most"], found


@pytest.mark.slow
def test_every_aim_is_met(measured: list[Row]) -> None:
    limited = [found for found in measured if found.limit is not None]

    assert len(limited) == 11
    assert [found.line() for found in limited if not found.met] == []


def test_an_aim_that_is_missed_is_told() -> None:
    assert row("anchor", [69_999, 70_000], limit=70_000).met
    assert not row("anchor", [1, 70_001], limit=70_000).met
    assert not row("anchor", [70_001], 1_000, limit=70.0).met
    assert row("anchor", [70_001], limit=70_000).line().endswith("MISSED")


def test_the_readme_tells_the_figures_of_the_snapshot() -> None:
    told = (SOURCES / "README.md").read_text()
    committed = json.loads(SNAPSHOT.read_text())

    assert [name for name in TOLD if f"| {committed[name]['most']:,} |" not in told] == []
