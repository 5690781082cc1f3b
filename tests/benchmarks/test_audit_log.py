"""The audit's benchmark still runs on real entries; its figure is not judged here."""

from pathlib import Path

import trio

from tallynet.protocol.leaf import Leaf
from tests.benchmarks.audit_log import kept_entries, measure_audit


def test_a_small_log_is_made_once_and_audited(tmp_path: Path) -> None:
    entries = kept_entries(tmp_path, 300)

    assert kept_entries(tmp_path, 300) == entries
    assert len({Leaf.unpack(entry).job for entry in entries}) == 300
    cost = trio.run(measure_audit, entries)
    assert cost.entries == 300
    assert 0 < cost.checking < cost.auditing + 1
