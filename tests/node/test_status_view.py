"""`tallynet node show` on a terminal of 80 columns, and `tallynet node init` with more than one model."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tallynet.node.config import NodeConfig
from tallynet.node.founding import found_node
from tallynet.node.status_view import print_status

STATUS: dict[str, Any] = {
    "node": "0x" + "5" * 40,
    "models": [
        {
            "name": name, "task": "generate", "context_length": 131_072, "tokens_per_second": 1234.5, "open_jobs": 12,
            "slots": 16, "memory": {"planned_bytes": planned, "resident_bytes": resident},
        }
        for name, planned, resident in (("owner/" + "long-name-" * 4, 17_500_000_000, 9_000_000_000), ("m", 0, None))
    ],
    "memory": {"planned_bytes": 17_500_000_000, "resident_bytes": None},
    "jobs": {"open": 12, "stopping": False},
}  # fmt: skip


def test_status_for_people_fits_80_columns() -> None:
    console = Console(width=80, record=True, file=io.StringIO())
    print_status(console, STATUS)
    shown = console.export_text()

    assert max(map(len, shown.splitlines())) <= 80
    assert "17,500 MB" in shown and "9,000 MB" in shown
    assert "planned 17,500 MB, resident -" in shown
    assert "open 12, stopping False" in shown


@pytest.mark.parametrize("models", [["./llama"], ["./llama", 'openai:http://h/v1#a "b"']])
def test_a_new_node_serves_the_models_that_it_was_made_with(tmp_path: Path, models: list[str]) -> None:
    path, _ = found_node(tmp_path / "node", models, tmp_path / "network.json", "")

    assert [model.model for model in NodeConfig.read(path, {}).served] == models
