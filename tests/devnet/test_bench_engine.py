"""The engine's benchmark still runs, and its report is complete; speeds are not judged here."""

from pathlib import Path

import pytest

from tallynet.devnet.bench.engine import measure_engine
from tallynet.devnet.bench.mixture import mixed_requests, prefixed_requests

pytestmark = pytest.mark.slow


def test_a_quick_run_reports_every_figure_and_the_tokens_of_generate(tmp_path: Path) -> None:
    measured = measure_engine(tmp_path, lambda what: None, rounds=1, quick=True)

    assert measured.tokens_identical_to_generate == measured.requests == 6
    assert all(row.figure > 0 and row.baseline is not None for row in measured.rows)
    assert {"continuous", "one_by_one", "static_8", "static_32", "shared_prefix"} <= {row.key for row in measured.rows}
    assert measured.summary()["ratio_vs_generate_batch"] == measured.rows[0].ratio


def test_requests_are_as_long_as_asked_and_always_the_same() -> None:
    asked = mixed_requests(32, 3363, 3205, 8192)

    assert sum(len(one.prompt) for one in asked) == 3363
    assert sum(one.new for one in asked) == 3205
    assert asked == mixed_requests(32, 3363, 3205, 8192)
    assert len({len(one.prompt) for one in asked}) > 16


def test_prompts_that_begin_alike_differ_at_their_end_only() -> None:
    alike = [one.prompt for one in prefixed_requests(4, 50, 6, 8192, same=True)]
    others = [one.prompt for one in prefixed_requests(4, 50, 6, 8192, same=False)]

    assert len({prompt[:50] for prompt in alike}) == 1
    assert len(set(alike)) == 4
    assert len({prompt[:50] for prompt in others}) == 4
