"""The benchmarks still run, and their report is complete; figures are not judged here."""

from pathlib import Path

from tallynet.devnet.bench.report import as_json, machine
from tests.benchmarks.__main__ import measure
from tests.benchmarks.report import KEYS


async def test_a_quick_run_reports_every_figure(tmp_path: Path) -> None:
    rows = await measure(tmp_path, "", quick=True)

    assert tuple(row.key for row in rows) == KEYS
    assert all(row.figure > 0 for row in rows if row.key != "added_seconds_to_first_token")
    assert as_json(rows, machine()).keys() == {"machine", "figures"}
