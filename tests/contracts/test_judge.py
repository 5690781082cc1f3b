"""The five faults that one transaction proves: start from one that convicts, break one thing."""

from collections.abc import Callable
from typing import Any

import pytest
from eth_abi.abi import decode
from msgspec.structs import replace

from tallynet.ledger import events
from tallynet.ledger.contract_court import accusation
from tallynet.ledger.rules import relay_digest
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.fault import Fork
from tallynet.protocol.units import ZERO_DIGEST
from tests.contracts.accused import COVERED, NOBODY, NOW, REPORTER, accuse, accused_machine, fault, signer
from tests.contracts.machine import CHAIN_ID, ETHER, UNBONDING, Machine, Reverted, named, refuses, word
from tests.protocol.examples import digest
from tests.protocol.faults import LOG, NAMES, SIZE, Signer

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
KINDS = [name for name in NAMES if name not in ("one job twice", "anchored late", "another head")]
"""One example for each function."""


@pytest.fixture
def machine() -> Machine:
    return accused_machine()


# What a slashing does


@pytest.mark.parametrize("name", NAMES)
def test_a_fault_takes_the_whole_stake(machine: Machine, name: str) -> None:
    kind, proven = signer(machine).faults(COVERED, NOW)[name]
    before = machine.balance(REPORTER)
    machine.slash(proven, REPORTER)
    ((topic, indexed, data),) = machine.events()

    assert (topic, indexed) == (events.SLASHED, [word(machine.node.address), word(REPORTER.address)])
    assert decode(["uint8", "uint256", "uint256"], data) == (kind, ETHER // 10, ETHER - ETHER // 10)
    assert machine.balance(REPORTER) - before == ETHER // 10
    assert machine.evm.get_balance(machine.contract) == ETHER - ETHER // 10
    assert machine.entry() == (NOBODY, 0, 0, SIZE, LOG.root(SIZE), COVERED)


def test_the_smallest_stakes_are_burnt_whole() -> None:
    machine = Machine(minimum_stake=1)
    machine.register(value=9)
    machine.slash(signer(machine).fork())
    ((_, _, data),) = machine.events()

    assert decode(["uint8", "uint256", "uint256"], data)[1:] == (0, 9)
    assert machine.evm.get_balance(machine.contract) == 9


def test_a_slashed_node_keeps_head_and_ring_and_nothing_else(machine: Machine) -> None:
    ring = machine.ring()
    machine.slash(fault(machine, "two roots of one size"))

    assert machine.ring() == ring
    assert machine.head() == (SIZE, LOG.root(SIZE), COVERED)
    with refuses("ledger: node is not registered"):
        machine.anchor(SIZE + 1, LOG.root(SIZE + 1), LOG.consistency(SIZE, SIZE + 1))
    with refuses("ledger: node is not registered"):
        machine.call(machine.node, "record", *[bytes(32)] * 3)
    with refuses("ledger: caller is not the operator"):
        machine.begin_exit()


def test_a_slashing_ends_an_exit(machine: Machine) -> None:
    machine.begin_exit()
    machine.set_time(NOW + UNBONDING)
    machine.slash(fault(machine, "two roots of one size"))
    with refuses("ledger: caller is not the operator"):
        machine.withdraw()


@pytest.mark.parametrize("name", NAMES)
def test_a_node_is_slashed_once(machine: Machine, name: str) -> None:
    machine.slash(fault(machine, "two roots of one size"))
    with refuses("ledger: node is not registered"):
        machine.slash(fault(machine, name))


@pytest.mark.parametrize("name", NAMES)
def test_a_node_that_left_is_not_slashed(machine: Machine, name: str) -> None:
    machine.begin_exit()
    machine.set_time(NOW + UNBONDING)
    machine.withdraw()
    with refuses("ledger: node is not registered"):
        machine.slash(fault(machine, name))


@pytest.mark.parametrize("name", NAMES)
def test_a_key_that_returns_is_convicted_by_the_same_evidence(machine: Machine, name: str) -> None:
    proven = fault(machine, name)
    machine.slash(proven)
    machine.register(value=3 * ETHER)
    machine.slash(proven)

    assert machine.entry()[1] == 0


@pytest.mark.parametrize("name", NAMES)
def test_a_stranger_is_not_convicted(machine: Machine, name: str) -> None:
    proven = replace(fault(machine, name), node=named("stranger").address)
    with refuses("ledger: node is not registered"):
        machine.slash(proven)


@pytest.mark.parametrize("name", NAMES)
def test_another_node_is_not_convicted(machine: Machine, name: str) -> None:
    other = named("other node")
    proven = replace(fault(machine, name), node=other.address)
    machine.node = other
    machine.register()
    with refuses("ledger: signature is not the node's"):
        machine.slash(proven)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("domain", [Domain(CHAIN_ID, named("contract").address), None], ids=["contract", "chain"])
def test_what_was_signed_for_elsewhere_convicts_nobody(machine: Machine, name: str, domain: Domain | None) -> None:
    elsewhere = domain or Domain(CHAIN_ID + 1, machine.domain.contract)
    _, proven = Signer(machine.node, elsewhere).faults(COVERED, NOW)[name]
    with refuses("ledger: signature is not the node's"):
        machine.slash(proven)


# Signatures


def signatures(call: tuple[Any, ...]) -> list[int]:
    return [at for at, argument in enumerate(call) if isinstance(argument, bytes) and len(argument) == 65]


@pytest.mark.parametrize("name", KINDS)
def test_every_flipped_bit_of_a_signature_is_refused(machine: Machine, name: str) -> None:
    call = accusation(fault(machine, name), machine.domain)
    for at in signatures(call):
        valid = int.from_bytes(call[at], "big")  # type: ignore[arg-type]
        for bit in range(65 * 8):
            flipped = (valid ^ 1 << bit).to_bytes(65, "big")
            with pytest.raises(Reverted, match=r"^ledger: signature (has a wrong v|has a high s|is not the node's)$"):
                accuse(machine, (*call[:at], flipped, *call[at + 1 :]))
    accuse(machine, call)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(
    ("bend", "reason"),
    [
        (lambda valid: b"", "signature is not 65 bytes"),
        (lambda valid: valid[:64], "signature is not 65 bytes"),
        (lambda valid: valid[:64] + b"\x00", "signature has a wrong v"),
        (lambda valid: valid[:64] + b"\x1d", "signature has a wrong v"),
        (lambda valid: high(valid), "signature has a high s"),
        (lambda valid: valid[:64] + bytes([55 - valid[64]]), "signature is not the node's"),
        (lambda valid: bytes(64) + valid[64:], "signature is not the node's"),
        (lambda valid: valid + b"\x00", None),
    ],
)
def test_every_other_form_of_a_signature_is_refused(
    machine: Machine, name: str, bend: Callable[[bytes], bytes], reason: str | None
) -> None:
    call = accusation(fault(machine, name), machine.domain)
    for at in signatures(call):
        with refuses(f"ledger: {reason}" if reason else ""):  # the parameter holds 65 bytes
            accuse(machine, (*call[:at], bend(call[at]), *call[at + 1 :]))  # type: ignore[arg-type]


def high(signature: bytes) -> bytes:
    """The other form of the same signature."""
    s = ORDER - int.from_bytes(signature[32:64], "big")
    return signature[:32] + s.to_bytes(32, "big") + bytes([55 - signature[64]])


@pytest.mark.parametrize("name", ["never anchored", "another leaf", "one index twice"])
@pytest.mark.parametrize("member", range(4))
def test_a_receipt_is_signed_whole(machine: Machine, name: str, member: int) -> None:
    call = accusation(fault(machine, name), machine.domain)
    for at, argument in enumerate(call):
        if not isinstance(argument, tuple):
            continue
        receipt = list(argument)
        receipt[member] = receipt[member] + 1 if isinstance(receipt[member], int) else digest("another")
        with refuses("ledger: signature is not the node's"):
            accuse(machine, (*call[:at], tuple(receipt), *call[at + 1 :]))


def test_a_checkpoint_is_signed_whole(machine: Machine) -> None:
    call: tuple[Any, ...] = accusation(fault(machine, "two roots of one size"), machine.domain)
    function, node, size, *sides = call
    with refuses("ledger: signature is not the node's"):
        accuse(machine, (function, node, size + 1, *sides))
    with refuses("ledger: signature is not the node's"):
        accuse(machine, (function, node, size, ZERO_DIGEST, *sides[1:]))


def test_an_order_to_relay_is_no_checkpoint(machine: Machine) -> None:
    proven: Fork = fault(machine, "two roots of one size")
    signed = proven.second.checkpoint
    order = machine.node.sign(relay_digest(machine.domain, signed.size, signed.root))
    with refuses("ledger: signature is not the node's"):
        machine.slash(replace(proven, second=replace(proven.second, signature=order)))
