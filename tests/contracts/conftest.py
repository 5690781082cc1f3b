"""Fixtures that are too slow to make twice."""

import pytest

from tallynet.protocol.merkle_tree import Tree
from tests.contracts.machine import tree


@pytest.fixture(scope="session")
def million() -> Tree:
    """A log a little larger than 2**20 leaves."""
    return tree(2**20 + 1000)
