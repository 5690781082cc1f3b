"""The rules of `contracts/ledger.vy`, one claim at a time: start valid, break one thing."""

import pytest
from eth_abi.abi import decode

from tallynet.ledger import events
from tallynet.ledger.rules import consent, consent_digest
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.keys import Key
from tallynet.protocol.units import ZERO_DIGEST, Digest
from tests.contracts.machine import (
    CHAIN_ID,
    ETHER,
    MULTIADDR,
    START,
    TREE,
    Machine,
    Reverted,
    named,
    refuses,
    text,
    tree,
    word,
)

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


# Construction


def test_the_constants_are_those_of_the_constructor() -> None:
    machine = Machine(minimum_stake=5, unbonding=60, bond=3, answer=30)

    assert machine.call(machine.operator, "MINIMUM_STAKE") == (5,)
    assert machine.call(machine.operator, "UNBONDING_SECONDS") == (60,)
    assert machine.call(machine.operator, "CHALLENGE_BOND") == (3,)
    assert machine.call(machine.operator, "ANSWER_SECONDS") == (30,)
    assert machine.call(machine.operator, "DEPLOYED_AT") == (7,)


@pytest.mark.parametrize("stake", [0, 2**128])
def test_a_minimum_stake_out_of_bounds_is_refused(stake: int) -> None:
    with refuses("ledger: minimum stake is out of bounds"):
        Machine(minimum_stake=stake)


def test_an_unbonding_time_out_of_bounds_is_refused() -> None:
    with refuses("ledger: unbonding is out of bounds"):
        Machine(unbonding=2**32)


@pytest.mark.parametrize("bond", [0, 2**112])
def test_a_challenge_bond_out_of_bounds_is_refused(bond: int) -> None:
    with refuses("ledger: challenge bond is out of bounds"):
        Machine(bond=bond)


@pytest.mark.parametrize("answer", [0, 2**32])
def test_a_time_to_answer_out_of_bounds_is_refused(answer: int) -> None:
    with refuses("ledger: answer time is out of bounds"):
        Machine(answer=answer)


def test_the_domain_is_the_one_signatures_are_made_for(machine: Machine) -> None:
    described = machine.call(machine.operator, "eip712Domain")

    assert described == (b"\x0f", "Tallynet", "1", CHAIN_ID, machine.contract.lower(), bytes(32), ())


def test_coins_sent_without_a_call_are_returned(machine: Machine) -> None:
    with pytest.raises(RuntimeError, match="Revert"):
        machine.evm.message_call(text(machine.operator.address), machine.contract, b"", ETHER)


# Registration


def test_registering_stores_operator_and_stake(registered: Machine) -> None:
    operator = text(registered.operator.address)

    assert registered.entry() == (operator, ETHER, 0, 0, bytes(32), 0)
    assert registered.evm.get_balance(registered.contract) == ETHER


def test_registering_tells_where_the_node_is(machine: Machine) -> None:
    machine.register(multiaddr=MULTIADDR, value=2 * ETHER)
    ((kind, indexed, data),) = machine.events()

    assert kind == events.REGISTERED
    assert indexed == [word(machine.node.address), word(machine.operator.address)]
    assert decode(["uint256", "string"], data) == (2 * ETHER, MULTIADDR)


def test_a_repeat_adds_stake_and_keeps_the_head(anchored: Machine) -> None:
    anchored.register(value=3)

    assert anchored.entry()[:4] == (text(anchored.operator.address), ETHER + 3, 0, 11)
    assert anchored.head() == (11, TREE.root(11), START)


def test_a_repeat_needs_no_more_stake(registered: Machine) -> None:
    registered.register(value=0, multiaddr="/dns4/new/tcp/1/p2p/16Uiu2HAm")
    ((_, _, data),) = registered.events()

    assert decode(["uint256", "string"], data) == (ETHER, "/dns4/new/tcp/1/p2p/16Uiu2HAm")


def test_too_little_stake_is_refused(machine: Machine) -> None:
    with refuses("ledger: stake is below the minimum"):
        machine.register(value=ETHER - 1)


def test_stake_that_does_not_fit_is_refused(registered: Machine) -> None:
    registered.evm.set_balance(text(registered.operator.address), 2**130)
    with refuses("ledger: stake is too large"):
        registered.register(value=2**128 - ETHER)


def test_another_operator_cannot_take_a_node_over(registered: Machine) -> None:
    rival = named("rival")
    registered.fund(rival)
    with refuses("ledger: node belongs to another operator"):
        registered.register(operator=rival)


def test_a_node_that_did_not_consent_is_not_registered(machine: Machine) -> None:
    with refuses("ledger: node did not consent"):
        machine.register(consented=consent(machine.domain, machine.operator.address, named("rival")))


def test_consent_for_another_operator_is_refused(machine: Machine) -> None:
    with refuses("ledger: node did not consent"):
        machine.register(consented=consent(machine.domain, named("rival").address, machine.node))


@pytest.mark.parametrize("chain_id", [CHAIN_ID + 1, 0])
def test_consent_for_another_chain_is_refused(machine: Machine, chain_id: int) -> None:
    elsewhere = Domain(chain_id, machine.domain.contract)
    with refuses("ledger: node did not consent"):
        machine.register(consented=consent(elsewhere, machine.operator.address, machine.node))


def test_consent_for_another_contract_is_refused(machine: Machine) -> None:
    elsewhere = Domain(CHAIN_ID, named("contract").address)
    with refuses("ledger: node did not consent"):
        machine.register(consented=consent(elsewhere, machine.operator.address, machine.node))


def test_a_high_s_signature_is_refused(machine: Machine) -> None:
    valid = consent(machine.domain, machine.operator.address, machine.node)
    high = (ORDER - int.from_bytes(valid[32:64], "big")).to_bytes(32, "big")
    with refuses("ledger: signature has a high s"):
        machine.register(consented=valid[:32] + high + bytes([55 - valid[64]]))


@pytest.mark.parametrize("v", [0, 1, 26, 29, 255])
def test_a_wrong_v_is_refused(machine: Machine, v: int) -> None:
    valid = consent(machine.domain, machine.operator.address, machine.node)
    with refuses("ledger: signature has a wrong v"):
        machine.register(consented=valid[:64] + bytes([v]))


@pytest.mark.parametrize("length", [0, 64])
def test_a_short_signature_is_refused(machine: Machine, length: int) -> None:
    valid = consent(machine.domain, machine.operator.address, machine.node)
    with refuses("ledger: signature is not 65 bytes"):
        machine.register(consented=valid[:length])


def test_a_signature_of_nobody_does_not_register_the_zero_address(machine: Machine) -> None:
    nobody = "0x" + bytes(20).hex()
    broken = bytes(32) + bytes(31) + b"\x01" + b"\x1b"
    with refuses("ledger: node did not consent"):
        machine.call(machine.operator, "register", nobody, "", broken, value=ETHER)


def test_every_flipped_bit_of_a_consent_is_refused(machine: Machine) -> None:
    valid = int.from_bytes(consent(machine.domain, machine.operator.address, machine.node), "big")
    for bit in range(65 * 8):
        with pytest.raises(Reverted, match=r"ledger: (signature has|node did not consent)"):
            machine.register(consented=(valid ^ 1 << bit).to_bytes(65, "big"))


def test_the_consent_is_the_digest_that_the_contract_makes(machine: Machine) -> None:
    digest = consent_digest(machine.domain, machine.operator.address, machine.node.address)

    machine.register(consented=machine.node.sign(digest))


# Anchors


def test_the_first_anchor_sets_the_head(registered: Machine) -> None:
    registered.anchor(11, TREE.root(11), [])
    ((kind, indexed, data),) = registered.events()

    assert (kind, indexed) == (events.ANCHORED, [word(registered.node.address)])
    assert decode(["uint64", "bytes32"], data) == (11, TREE.root(11))
    assert registered.head() == (11, TREE.root(11), START)


def test_a_consistent_anchor_moves_the_head(anchored: Machine) -> None:
    anchored.set_time(START + 60)
    anchored.anchor(40, TREE.root(40), TREE.consistency(11, 40))

    assert anchored.head() == (40, TREE.root(40), START + 60)
    assert anchored.entry() == (text(anchored.operator.address), ETHER, 0, 40, TREE.root(40), START + 60)


def test_a_stranger_cannot_anchor(machine: Machine) -> None:
    with refuses("ledger: node is not registered"):
        machine.anchor(1, TREE.root(1), [])


@pytest.mark.parametrize("size", [0, 1, 10, 11])
def test_a_log_that_does_not_grow_is_refused(anchored: Machine, size: int) -> None:
    with refuses("ledger: size does not grow"):
        anchored.anchor(size, TREE.root(size), [])


def test_a_first_anchor_of_nothing_is_refused(registered: Machine) -> None:
    with refuses("ledger: size does not grow"):
        registered.anchor(0, TREE.root(0), [])


@pytest.mark.parametrize("size", [2**40, 2**64 - 1])
def test_a_log_that_is_too_large_is_refused(registered: Machine, size: int) -> None:
    with refuses("ledger: size is too large"):
        registered.anchor(size, TREE.root(11), [])


def test_a_first_anchor_with_a_proof_is_refused(registered: Machine) -> None:
    with refuses("ledger: first anchor takes no proof"):
        registered.anchor(11, TREE.root(11), TREE.consistency(4, 11))


def test_an_anchor_without_its_proof_is_refused(anchored: Machine) -> None:
    with refuses("ledger: proof has the wrong length"):
        anchored.anchor(40, TREE.root(40), [])


def test_a_rewritten_past_is_refused(anchored: Machine) -> None:
    forked = tree(40, b"another past")
    with refuses("ledger: proof does not lead to the old root"):
        anchored.anchor(40, forked.root(), forked.consistency(11))


def test_a_root_that_the_proof_does_not_lead_to_is_refused(anchored: Machine) -> None:
    with refuses("ledger: proof does not lead to the new root"):
        anchored.anchor(40, TREE.root(39), TREE.consistency(11, 40))


def test_a_refused_anchor_leaves_the_head(anchored: Machine) -> None:
    with pytest.raises(Reverted):
        anchored.anchor(40, TREE.root(39), TREE.consistency(11, 40))

    assert anchored.head() == (11, TREE.root(11), START)


# Records


def test_a_record_is_an_event_and_nothing_else(registered: Machine) -> None:
    before = registered.entry()
    job, request, output = (Digest(bytes([number]) * 32) for number in (1, 2, 3))
    registered.call(registered.node, "record", job, request, output)
    ((kind, indexed, data),) = registered.events()

    assert (kind, indexed) == (events.RECORDED, [word(registered.node.address), job])
    assert data == request + output
    assert registered.entry() == before


def test_a_stranger_cannot_record(machine: Machine) -> None:
    with refuses("ledger: node is not registered"):
        machine.call(machine.node, "record", *[bytes(32)] * 3)


# Attestations


REPORT = b"\x07" * 32
RATES = (950_000, 49_000, 0)


def test_an_attestation_of_anybody_is_an_event_and_nothing_else(anchored: Machine) -> None:
    before = anchored.entry()
    auditor, node = named("auditor"), anchored.node.address
    anchored.fund(auditor)
    anchored.call(auditor, "attest", text(node), REPORT, 11, *RATES)
    ((kind, indexed, data),) = anchored.events()

    assert (kind, indexed) == (events.ATTESTED, [word(node), word(auditor.address)])
    assert data == REPORT + b"".join(number.to_bytes(32, "big") for number in (11, *RATES))
    assert anchored.entry() == before


@pytest.mark.parametrize("size", [0, 12, 2**40])
def test_an_attestation_of_a_log_that_is_not_anchored_is_refused(anchored: Machine, size: int) -> None:
    with refuses("ledger: size is not anchored"):
        anchored.call(anchored.node, "attest", text(anchored.node.address), REPORT, size, *RATES)


@pytest.mark.parametrize("rates", [(1_000_001, 1, 0), (950_000, 1_000_001, 0), (950_000, 48_999, 49_000)])
def test_an_attestation_of_no_rates_is_refused(anchored: Machine, rates: tuple[int, int, int]) -> None:
    with refuses("ledger: bound is no rate"):
        anchored.call(anchored.node, "attest", text(anchored.node.address), REPORT, 11, *rates)


# Leaves


def test_a_logged_leaf_is_found(anchored: Machine) -> None:
    assert all(anchored.verify(TREE.leaf(index), index, TREE.inclusion(index, 11)) for index in range(11))


def test_another_leaf_index_or_path_is_not_found(anchored: Machine) -> None:
    path = TREE.inclusion(3, 11)

    assert not anchored.verify(TREE.leaf(4), 3, path)
    assert not anchored.verify(TREE.leaf(3), 2, path)
    assert not anchored.verify(TREE.leaf(3), 3, path[:-1])
    assert not anchored.verify(TREE.leaf(3), 3, [*path, ZERO_DIGEST])
    assert not anchored.verify(TREE.leaf(3), 11, path)
    assert not anchored.verify(TREE.leaf(3), 2**64 - 1, path)
    assert not anchored.verify(TREE.leaf(3), 3, TREE.inclusion(3, 12))


def test_an_empty_log_has_no_leaf(registered: Machine) -> None:
    assert not registered.verify(ZERO_DIGEST, 0, [])


# Many nodes


def test_nodes_are_told_in_the_order_they_are_asked_for(registered: Machine) -> None:
    asked = [named("stranger").address, registered.node.address]
    (found,) = registered.call(registered.operator, "nodes", [text(node) for node in asked])

    assert isinstance(found, tuple)
    assert found[1] == registered.entry()
    assert found[0][:2] == ("0x" + bytes(20).hex(), 0)


def test_nodes_do_not_share_state(anchored: Machine) -> None:
    first = anchored.entry()
    anchored.node = named("second node")
    anchored.register(value=5 * ETHER)
    anchored.anchor(2, TREE.root(2), [])

    assert anchored.entry()[1:4] == (5 * ETHER, 0, 2)
    anchored.node = named("node")
    assert anchored.entry() == first


def test_the_registration_type_is_what_wallets_hash() -> None:
    """Against eth-account's general EIP-712 encoder."""
    from eth_account import Account
    from eth_account.messages import encode_typed_data

    operator, node = named("operator"), named("node")
    domain = Domain(CHAIN_ID, named("contract").address)
    message = encode_typed_data(
        {
            "name": "Tallynet",
            "version": "1",
            "chainId": CHAIN_ID,
            "verifyingContract": text(domain.contract),
        },
        {"Registration": [{"name": "operator", "type": "address"}, {"name": "node", "type": "address"}]},
        {"operator": text(operator.address), "node": text(node.address)},
    )
    signed = Account.sign_message(message, node.secret)

    assert bytes(signed.signature) == consent(domain, operator.address, Key(node.secret))
