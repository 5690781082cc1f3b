"""Two clocks that begin at 0: pytest-trio's `autojump_clock`, for tests about time, and one that simply runs.

The one that jumps does so while a thread works, too: it is for tests in which no disk has a say in what happens.
"""

import pytest
from trio.testing import MockClock


@pytest.fixture
def steady_clock() -> MockClock:
    """Real time, from 0."""
    return MockClock(rate=1.0)


@pytest.fixture
def looked_at_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """No look holds: what is tried here takes less time than a look holds for."""
    monkeypatch.setattr("tallynet.node.journal.LOOK_HOLDS_SECONDS", 0.0)
