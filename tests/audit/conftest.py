"""Where commands of the auditor run, for files that bring no stage of their own."""

from pathlib import Path

import pytest

from tests.audit.staging import Stage
from tests.audit.suspects import Scene, scene


@pytest.fixture
async def made() -> Scene:
    """A node that has anchored 3 and 7 entries, and has 5 more."""
    return await scene(3, 7)


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: Scene) -> Stage:
    """With that node in it."""
    built = Stage(tmp_path, made.ledger, monkeypatch)
    built.nodes.append(made.node)
    return built
