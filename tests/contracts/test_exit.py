"""How a node leaves: notice, the unbonding time, the stake, and what stays of it."""

import pytest
from eth_abi.abi import encode

from tallynet.ledger import events
from tallynet.ledger.rules import consent
from tallynet.protocol.eip712 import keccak
from tallynet.protocol.units import Address
from tests.contracts.machine import ETHER, START, TREE, UNBONDING, Machine, named, refuses, text, word


def test_notice_starts_the_unbonding_time(registered: Machine) -> None:
    registered.begin_exit()
    ((kind, indexed, data),) = registered.events()

    assert (kind, indexed) == (events.EXIT_BEGUN, [word(registered.node.address)])
    assert int.from_bytes(data, "big") == START + UNBONDING
    assert registered.entry()[:3] == (text(registered.operator.address), ETHER, START + UNBONDING)


def test_the_stake_returns_to_the_operator_when_time_is_up(registered: Machine) -> None:
    registered.begin_exit()
    registered.set_time(START + UNBONDING)
    before = registered.balance(registered.operator)
    registered.withdraw()
    ((kind, indexed, data),) = registered.events()

    assert registered.balance(registered.operator) == before + ETHER
    assert (kind, indexed) == (events.WITHDRAWN, [word(registered.node.address), word(registered.operator.address)])
    assert int.from_bytes(data, "big") == ETHER
    assert registered.entry() == ("0x" + bytes(20).hex(), 0, 0, 0, bytes(32), 0)


def test_a_second_before_time_is_up_the_stake_is_bound(registered: Machine) -> None:
    registered.begin_exit()
    registered.set_time(START + UNBONDING - 1)
    with refuses("ledger: stake is still bound"):
        registered.withdraw()


def test_the_stake_cannot_be_withdrawn_without_notice(registered: Machine) -> None:
    with refuses("ledger: node is not exiting"):
        registered.withdraw()


def test_the_stake_cannot_be_withdrawn_twice(registered: Machine) -> None:
    registered.begin_exit()
    registered.set_time(START + UNBONDING)
    registered.withdraw()
    with refuses("ledger: caller is not the operator"):
        registered.withdraw()


@pytest.mark.parametrize("stranger", ["rival", "node"])
def test_only_the_operator_can_give_notice_and_withdraw(registered: Machine, stranger: str) -> None:
    with refuses("ledger: caller is not the operator"):
        registered.begin_exit(named(stranger))
    registered.begin_exit()
    registered.set_time(START + UNBONDING)
    with refuses("ledger: caller is not the operator"):
        registered.withdraw(named(stranger))


def test_notice_is_given_once(registered: Machine) -> None:
    registered.begin_exit()
    registered.set_time(START + 10)
    with refuses("ledger: node is exiting"):
        registered.begin_exit()


def test_a_receiver_that_calls_back_finds_nothing_to_take(machine: Machine) -> None:
    thief = machine.evm.deploy(text(machine.operator.address), compiled_thief())
    ledger, node = machine.contract, text(machine.node.address)
    consented = consent(machine.domain, Address(bytes.fromhex(thief[2:])), machine.node)
    machine.evm.set_balance(thief, ETHER)
    machine.evm.set_balance(ledger, 10 * ETHER)  # the stakes of others

    act(machine, thief, "enter(address,address,bytes)", ledger, node, consented)
    machine.set_time(START + UNBONDING)
    act(machine, thief, "leave()")

    assert machine.evm.get_balance(thief) == ETHER
    assert machine.evm.get_balance(ledger) == 10 * ETHER


THIEF = """
ledger: address
node: address

@external
def enter(ledger: address, node: address, consented: Bytes[65]):
    self.ledger = ledger
    self.node = node
    call: Bytes[512] = abi_encode(node, "", consented, method_id=method_id("register(address,string,bytes)"))
    raw_call(ledger, call, value=10**18)
    raw_call(ledger, abi_encode(node, method_id=method_id("begin_exit(address)")))

@external
def leave():
    raw_call(self.ledger, abi_encode(self.node, method_id=method_id("withdraw(address)")))

@external
@payable
def __default__():
    done: bool = raw_call(
        self.ledger, abi_encode(self.node, method_id=method_id("withdraw(address)")), revert_on_failure=False
    )
    assert not done, "the stake was paid twice"
"""


def compiled_thief() -> bytes:
    from vyper import compile_code  # type: ignore[import-untyped]

    return bytes.fromhex(compile_code(THIEF, output_formats=["bytecode"])["bytecode"][2:])


def act(machine: Machine, contract: str, signature: str, *arguments: object) -> None:
    types = signature[:-1].partition("(")[2]
    data = keccak(signature.encode())[:4] + encode(types.split(",") if types else [], arguments)
    machine.evm.message_call(text(machine.operator.address), contract, data)


def test_an_exiting_node_can_still_anchor(anchored: Machine) -> None:
    anchored.begin_exit()
    anchored.anchor(12, TREE.root(12), TREE.consistency(11, 12))

    assert anchored.entry()[2:4] == (START + UNBONDING, 12)


def test_an_exiting_node_cannot_be_registered_again(registered: Machine) -> None:
    registered.begin_exit()
    with refuses("ledger: node is exiting"):
        registered.register()


def test_a_node_that_left_cannot_anchor_but_its_head_stays(anchored: Machine) -> None:
    leave(anchored)
    with refuses("ledger: node is not registered"):
        anchored.anchor(12, TREE.root(12), TREE.consistency(11, 12))

    assert anchored.head() == (11, TREE.root(11), START)


def test_a_node_that_returns_goes_on_from_its_old_head(anchored: Machine) -> None:
    leave(anchored)
    rival = named("rival")
    anchored.fund(rival)
    anchored.register(operator=rival)
    with refuses("ledger: proof has the wrong length"):
        anchored.anchor(12, TREE.root(12), [])
    anchored.anchor(12, TREE.root(12), TREE.consistency(11, 12))

    assert anchored.entry()[:4] == (text(rival.address), ETHER, 0, 12)


def leave(machine: Machine) -> None:
    machine.begin_exit()
    machine.set_time(START + UNBONDING)
    machine.withdraw()
