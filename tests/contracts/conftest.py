"""Contracts on chains of their own, and a log that is too slow to make twice."""

import pytest

from tallynet.protocol.merkle_tree import Tree
from tests.contracts.machine import MULTIADDR, TREE, Machine, tree


@pytest.fixture(scope="session")
def million() -> Tree:
    """A log a little larger than 2**20 leaves."""
    return tree(2**20 + 1000)


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def registered(machine: Machine) -> Machine:
    machine.register(multiaddr=MULTIADDR)
    return machine


@pytest.fixture
def anchored(registered: Machine) -> Machine:
    registered.anchor(11, TREE.root(11), [])
    return registered
