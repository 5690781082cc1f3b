"""The benchmark of replays still runs, and its report is complete; speeds are not judged here."""

from pathlib import Path

import pytest
import torch

from tallynet.devnet.bench.replay import measure_replay

pytestmark = pytest.mark.slow

FIGURES = {
    "replay", "generation", "generation_16", "prefix", "evidence_bytes", "evidence", "evidence_16",
    "generation_short_prompt", "generation_threads", "matrices",
}  # fmt: skip


def test_a_quick_run_reports_every_figure_and_leaves_the_threads_as_they_were(tmp_path: Path) -> None:
    before = torch.get_num_threads()

    rows = {row.key.removesuffix("_tiny"): row for row in measure_replay(tmp_path, print, quick=True, large=False)}

    assert set(rows) == FIGURES
    assert all(row.figure > 0 for row in rows.values())
    assert rows["evidence_bytes"].met
    assert torch.get_num_threads() == before
