"""What the contract remembers of a node's anchors, and how late it can still call one."""

import random
from collections.abc import Callable

import pytest

from tallynet.protocol.errors import InvalidEvidence
from tallynet.protocol.fault import LateAnchor, check_fault
from tallynet.protocol.units import Seconds
from tests.contracts.machine import START, UNBONDING, Machine, Reverted, named, refuses, tree
from tests.protocol.faults import Signer

TREE = tree(300)
KEPT = 9


@pytest.fixture
def machine() -> Machine:
    machine = Machine()
    machine.register()
    return machine


def anchor(machine: Machine, old: int, size: int, time: int) -> None:
    machine.set_time(time)
    machine.anchor(size, TREE.root(size), TREE.consistency(old, size) if old else [])


def late(machine: Machine, index: int, due: int) -> LateAnchor:
    promise = Signer(machine.node, machine.domain).promise(index, TREE.leaf(index), due)
    return LateAnchor(node=machine.node.address, promise=promise)


def test_a_node_that_never_anchored_has_an_empty_ring(machine: Machine) -> None:
    assert machine.ring() == []
    assert machine.call(machine.operator, "ring", named("stranger").address) == ((),)


def test_the_ring_holds_the_last_nine_anchors(machine: Machine) -> None:
    posted: list[tuple[int, int]] = []
    rng, size = random.Random(9), 0
    for number in range(31):
        old, size = size, size + rng.randrange(1, 9)
        posted.append((size, START + 60 * number))
        anchor(machine, old, *posted[-1])

        assert machine.ring() == posted[-KEPT:], number
        assert machine.head() == (size, TREE.root(size), posted[-1][1])


def test_the_largest_size_and_time_fit(machine: Machine) -> None:
    sizes = [2**40 - 2, 2**40 - 1]
    machine.set_time(2**40 - 1)
    machine.anchor(sizes[0], TREE.root(1), [])

    assert machine.ring() == [(sizes[0], 2**40 - 1)]
    assert machine.entry()[3:] == (sizes[0], TREE.root(1), 2**40 - 1)


def test_anchors_in_one_block_are_each_remembered(machine: Machine) -> None:
    for size in range(1, 6):
        anchor(machine, size - 1, size, START)

    assert machine.ring() == [(size, START) for size in range(1, 6)]


def test_the_ring_outlives_a_withdrawal(machine: Machine) -> None:
    for size in range(1, 12):
        anchor(machine, size - 1, size, START + size)
    before = machine.ring()
    machine.begin_exit()
    machine.set_time(START + 100 + UNBONDING)
    machine.withdraw()
    assert machine.ring() == before

    machine.register()
    anchor(machine, 11, 12, START + 200 + UNBONDING)
    assert machine.ring() == [*before[1:], (12, START + 200 + UNBONDING)]


def test_nodes_do_not_share_a_ring(machine: Machine) -> None:
    for size in range(1, 12):
        anchor(machine, size - 1, size, START + size)
    before = machine.ring()
    machine.node = named("second node")
    machine.register()
    anchor(machine, 0, 5, START + 100)
    assert machine.ring() == [(5, START + 100)]

    machine.node = named("node")
    assert machine.ring() == before


@pytest.mark.parametrize("anchors", [1, 2, 3, 8])
def test_a_young_node_is_judged_from_its_first_entry(machine: Machine, anchors: int) -> None:
    for number in range(anchors):
        anchor(machine, 10 * number, 10 * number + 10, START + 60 * number)
    with refuses("ledger: receipt is not late"):
        machine.slash(late(machine, 0, START))
    machine.slash(late(machine, 0, START - 1))

    assert machine.entry()[1] == 0


@pytest.mark.parametrize("anchors", range(9, 20))
def test_what_is_older_than_the_ring_is_not_called_late(machine: Machine, anchors: int) -> None:
    """The oldest of nine anchors tells what was anchored before it, not when."""
    for number in range(anchors):
        anchor(machine, 10 * number, 10 * number + 10, START + 60 * number)
    oldest = anchors - KEPT
    with refuses("ledger: receipt is not late"):
        machine.slash(late(machine, 10 * oldest + 9, 0))
    with machine.undone():
        machine.slash(late(machine, 10 * oldest + 10, START + 60 * (oldest + 1) - 1))
    with refuses("ledger: receipt is not late"):
        machine.slash(late(machine, 10 * oldest + 10, START + 60 * (oldest + 1)))


def test_python_and_vyper_call_the_same_promises_late(machine: Machine) -> None:
    rng, size, convicted, told = random.Random(5), 0, 0, 0
    for number in range(24):
        now = START + 60 * number
        anchor(machine, size, size + rng.randrange(1, 12), now)
        size = machine.head()[0]
        witness = machine.witness(now)
        for _ in range(40):
            index = rng.choice([size, size + 5, rng.randrange(size), rng.randrange(size), *_edges(machine, size)])
            proven = late(machine, index, now + rng.choice([-60 * rng.randrange(12), 0]) + rng.choice([-1, 0, 1]))
            with machine.undone():
                reason = refusal(check_fault, proven, machine.domain, witness)
                assert refusal(machine.slash, proven) == reason
            convicted += not reason
            told += 1
    assert told // 5 < convicted < 4 * told // 5
    assert witness.now == Seconds(START + 60 * 23)


def _edges(machine: Machine, size: int) -> list[int]:
    """The last entry under an anchor, and the first above it."""
    return [index for anchored, _ in machine.ring() for index in (anchored - 1, min(anchored, size))]


def refusal(judge: Callable[..., object], *arguments: object) -> str:
    """Why a judge does not convict; empty where it does."""
    try:
        judge(*arguments)
    except Reverted as error:
        return str(error)
    except InvalidEvidence as error:
        return f"ledger: {error.reason}"
    return ""
