"""Tiny checkpoints and the engines that run them, made once for all tests of the engine."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from tallynet.engine import Engine, open_engine
from tests.engine.checkpoints import make_checkpoint
from tests.engine.openai_server import OpenAIServer

Directory = Callable[[str], Path]
Opened = Callable[[str], Engine]


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Directory:
    """The directory of a family's checkpoint. Nobody writes there; copy it to change it."""
    return cache(lambda family: make_checkpoint(family, tmp_path_factory.mktemp("models") / family))


@pytest.fixture(scope="session")
def engine(checkpoint: Directory) -> Opened:
    """The loaded engine of a family, with four slots; not running."""
    return cache(lambda family: open_engine(str(checkpoint(family)), slots=4))


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    """One that speaks the OpenAI API, for one test."""
    with OpenAIServer().run() as server:
        yield server
