"""A node that has done wrong, and whoever says so."""

from typing import Any

from tests.contracts.machine import START, Machine, named
from tests.protocol.faults import FIRST_SIZE, LOG, SIZE, Signer

COVERED = START + 100
NOW = START + 200
REPORTER = named("reporter")
NOBODY = "0x" + bytes(20).hex()


def accused_machine() -> Machine:
    """A node with the log of `tests.protocol.faults`, anchored at two times."""
    machine = Machine()
    machine.fund(REPORTER)
    machine.register()
    machine.anchor(FIRST_SIZE, LOG.root(FIRST_SIZE), [])
    machine.set_time(COVERED)
    machine.anchor(SIZE, LOG.root(SIZE), LOG.consistency(FIRST_SIZE, SIZE))
    machine.set_time(NOW)
    return machine


def signer(machine: Machine) -> Signer:
    return Signer(machine.node, machine.domain)


def fault(machine: Machine, name: str) -> Any:
    return signer(machine).faults(COVERED, NOW)[name][1]


def accuse(machine: Machine, call: tuple[Any, ...]) -> None:
    machine.call(REPORTER, *call)
