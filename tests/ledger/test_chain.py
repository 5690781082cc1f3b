"""The seam to a real chain: what is at the other end is checked, and what goes wrong there is told as ours."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests
import trio
from eth_tester import EthereumTester, PyEVMBackend  # type: ignore[import-untyped]
from web3 import EthereumTesterProvider

import tallynet.ledger
from tallynet.ledger.chain import ChainLedger, ChainSettings
from tallynet.ledger.outbox import Pacing
from tallynet.protocol.errors import Misconfigured, Refused
from tallynet.protocol.keys import Key
from tallynet.protocol.units import Address, Digest, JobId, Wei, prefixed
from tests.ledger.worlds import (
    DEPLOYER,
    ETHER,
    MULTIADDR,
    NODE,
    OPERATOR,
    RIVAL,
    SECOND_NODE,
    SETTINGS,
    TREE,
    UNBONDING,
)
from tests.protocol.faults import Signer

CONTRACT = Address(b"\xc0" * 20)


class TamperedChain(EthereumTesterProvider):
    """An embedded chain whose endpoint misbehaves on command."""

    def __init__(self) -> None:
        self.tester = EthereumTester(PyEVMBackend())
        super().__init__(self.tester)
        self.lost_answers = 0
        """So many transactions arrive although their sender sees a broken connection."""
        self.lost_requests = 0
        """So many transactions do not arrive."""
        self.late_receipts = 0
        """So many questions for a receipt come too early."""
        self.broadcasts: list[str] = []

    def make_request(self, method: Any, params: Any) -> Any:
        if method == "eth_sendRawTransaction":
            self.broadcasts.append(str(params[0]))
            if self.lost_requests:
                self.lost_requests -= 1
                raise requests.ConnectionError("before the request")
            answer = super().make_request(method, params)
            if self.lost_answers:
                self.lost_answers -= 1
                raise requests.ConnectionError("before the answer")
            return answer
        if method == "eth_getTransactionReceipt" and self.late_receipts:
            self.late_receipts -= 1
            return {"id": 1, "jsonrpc": "2.0", "result": None}
        return super().make_request(method, params)


@pytest.fixture
def chain() -> TamperedChain:
    return TamperedChain()


@pytest.fixture
async def ledger(chain: TamperedChain) -> ChainLedger:
    """A ledger on that chain with one registered node."""
    ledger = await ChainLedger.deploy(
        chain, DEPLOYER, minimum_stake=ETHER, unbonding_seconds=UNBONDING, settings=SETTINGS
    )
    await ledger.register(OPERATOR, NODE, ETHER, MULTIADDR)
    chain.broadcasts.clear()
    return ledger


# What is at the other end


async def test_a_ledger_is_found_again_by_its_address(chain: TamperedChain, ledger: ChainLedger) -> None:
    domain = ledger.domain
    again = await ChainLedger.connect(chain, domain.contract, chain_id=domain.chain_id, settings=SETTINGS)

    assert again.domain == domain
    assert await again.nodes() == await ledger.nodes()


async def test_an_address_without_code_is_misconfigured(chain: TamperedChain) -> None:
    with pytest.raises(Misconfigured, match=r"no contract code at 0x[cC]0.*is this the right network file\?"):
        await ChainLedger.connect(chain, CONTRACT)


async def test_another_chain_is_misconfigured(chain: TamperedChain, ledger: ChainLedger) -> None:
    with pytest.raises(Misconfigured, match="not 31337"):
        await ChainLedger.connect(chain, ledger.domain.contract, chain_id=31337)


RETURN_NOTHING = bytes.fromhex("600160005360016000f3")  # creation code of a contract that is one byte, STOP
REVERT = bytes.fromhex("6460006000fd6000526005601bf3")  # of one that reverts whatever is asked


@pytest.mark.parametrize("creation", [RETURN_NOTHING, REVERT], ids=["silent", "reverting"])
async def test_another_contract_is_misconfigured(chain: TamperedChain, creation: bytes) -> None:
    sender = chain.tester.get_accounts()[0]
    sent = chain.tester.send_transaction({"from": sender, "data": "0x" + creation.hex(), "gas": 100_000})
    other = chain.tester.get_transaction_receipt(sent)["contract_address"]
    with pytest.raises(Misconfigured, match="is no Tallynet ledger"):
        await ChainLedger.connect(chain, Address(bytes.fromhex(other[2:])))


# Each transaction once


async def test_a_transaction_whose_answer_is_lost_is_posted_once(chain: TamperedChain, ledger: ChainLedger) -> None:
    chain.lost_answers = 1
    anchor = await ledger.anchor(NODE, 7, TREE.root(7), [])

    assert list(await ledger.anchors(NODE.address)) == [anchor]
    assert len(chain.broadcasts) == 2
    assert len(set(chain.broadcasts)) == 1


async def test_a_slashing_is_tried_without_a_transaction(chain: TamperedChain, ledger: ChainLedger) -> None:
    tried = await ledger.try_slash(RIVAL.address, Signer(NODE, ledger.domain).fork())

    assert not chain.broadcasts
    taken = await ledger.slash(RIVAL, Signer(NODE, ledger.domain).fork())
    assert tried.gas >= taken.gas > 21_000


async def test_a_slashing_from_before_a_restart_is_posted_once(chain: TamperedChain, ledger: ChainLedger) -> None:
    fork = Signer(NODE, ledger.domain).fork()
    taken = await ledger.slash(RIVAL, fork)
    again = await ChainLedger.connect(chain, ledger.domain.contract, settings=SETTINGS)

    assert await again.slash(RIVAL, fork) == taken
    assert len(chain.broadcasts) == 1


async def test_a_reward_and_a_bond_reach_the_challenger(chain: TamperedChain, ledger: ChainLedger) -> None:
    await ledger.anchor(NODE, 7, TREE.root(7), [])
    asked = await ledger.challenge(RIVAL, NODE.address, 3)
    before = chain.tester.get_balance(prefixed(RIVAL.address))
    chain.tester.time_travel(asked.answer_by + 1)
    taken = await ledger.finalize(OPERATOR, NODE.address, 3)

    assert chain.tester.get_balance(prefixed(RIVAL.address)) == before + taken.reward + asked.bond
    assert chain.tester.get_balance(prefixed(ledger.domain.contract)) == taken.burnt


async def test_a_request_that_is_lost_is_sent_again(chain: TamperedChain, ledger: ChainLedger) -> None:
    chain.lost_requests = 2
    await ledger.register(OPERATOR, NODE, Wei(5), MULTIADDR)
    entry = await ledger.node(NODE.address)

    assert entry is not None
    assert entry.stake == ETHER + 5
    assert len(chain.broadcasts) == 3
    assert len(set(chain.broadcasts)) == 1


async def test_a_duplicate_broadcast_changes_nothing(chain: TamperedChain, ledger: ChainLedger) -> None:
    chain.late_receipts = 3
    record = await ledger.record(NODE, JobId(b"\x01" * 32), Digest(b"\x02" * 32), Digest(b"\x03" * 32))

    assert list(await ledger.records(NODE.address)) == [record]
    assert len(chain.broadcasts) > 1
    assert len(set(chain.broadcasts)) == 1


async def test_calls_with_one_key_at_once_all_arrive(ledger: ChainLedger) -> None:
    async with trio.open_nursery() as nursery:
        for number in range(4):
            job = JobId(bytes([number]) * 32)
            nursery.start_soon(ledger.record, NODE, job, Digest(b"\x02" * 32), Digest(b"\x03" * 32))

    assert {record.job[0] for record in await ledger.records(NODE.address)} == {0, 1, 2, 3}


async def test_ledgers_over_one_embedded_chain_take_turns(chain: TamperedChain, ledger: ChainLedger) -> None:
    contract = ledger.domain.contract
    other = await ChainLedger.connect(chain, contract, settings=SETTINGS)
    await ledger.register(OPERATOR, SECOND_NODE, ETHER, MULTIADDR)
    async with trio.open_nursery() as nursery:
        for ledger_of_node, node in ((ledger, NODE), (other, SECOND_NODE)):
            nursery.start_soon(ledger_of_node.anchor, node, 7, TREE.root(7), [])
            nursery.start_soon(ledger_of_node.nodes)

    assert (await other.head(NODE.address)).size == (await ledger.head(SECOND_NODE.address)).size == 7


async def test_who_cannot_pay_is_refused(chain: TamperedChain, ledger: ChainLedger) -> None:
    poor = Key(b"\x99" * 32)
    with pytest.raises(Refused) as refusal:
        await ledger.register(poor, SECOND_NODE, ETHER, MULTIADDR)
    assert "balance" in refusal.value.reason or "afford" in refusal.value.reason
    with pytest.raises(Refused):
        await ChainLedger.deploy(chain, poor, minimum_stake=ETHER, unbonding_seconds=UNBONDING, settings=SETTINGS)
    assert chain.broadcasts == []


async def test_a_price_above_the_cap_is_refused(chain: TamperedChain) -> None:
    stingy = ChainSettings(pacing=Pacing(max_fee_wei=1))
    with pytest.raises(Refused, match="more than the 1 allowed"):
        await ChainLedger.deploy(chain, DEPLOYER, minimum_stake=ETHER, unbonding_seconds=60, settings=stingy)


# What is imported


def test_only_one_module_imports_web3() -> None:
    folder = Path(tallynet.ledger.__file__).parent
    pattern = re.compile(r"^ *(from|import) (web3|eth_account|eth_utils|requests)\b", re.MULTILINE)

    assert [path.name for path in folder.glob("*.py") if pattern.search(path.read_text())] == ["rpc.py"]


def test_the_package_starts_without_web3() -> None:
    program = "import sys, tallynet.ledger; sys.exit('web3' in sys.modules or 'requests' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
