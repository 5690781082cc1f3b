"""The embedded chain as clients see it: a program of its own, asked by plain web3 over HTTP."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from eth_account import Account
from web3 import HTTPProvider, Web3
from web3.exceptions import ContractLogicError, TransactionNotFound, Web3RPCError

from tallynet.devnet.chain.accounts import funded_key, funded_keys
from tallynet.devnet.chain.evm import CHAIN_ID, GENESIS_BALANCE
from tallynet.devnet.chain.rpc import MAX_BATCH, MAX_BODY_BYTES
from tallynet.ledger.artefact import artefact
from tallynet.ledger.rpc import Rpc
from tallynet.protocol.keys import Key

START_SECONDS = 30.0


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    ready = tmp_path_factory.mktemp("chain") / "ready.json"
    arguments = [sys.executable, "-m", "tallynet.devnet.chain", "--port", "0", "--ready", str(ready)]
    with subprocess.Popen([*arguments, "--block-seconds", "60"], stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + START_SECONDS
        while not ready.exists():
            assert process.poll() is None and time.monotonic() < deadline, process.stderr and process.stderr.read()
            time.sleep(0.05)
        yield json.loads(ready.read_text())["rpc_url"]
        process.terminate()
        assert process.wait(10) == 0


@pytest.fixture(scope="module")
def web3(url: str) -> Web3:
    return Web3(HTTPProvider(url))


@pytest.fixture(scope="module")
def contract(web3: Web3) -> Any:
    made: Any = web3.eth.contract(abi=artefact().abi, bytecode=artefact().bytecode)
    creation = made.constructor(10**18, 60, 10**16, 60).build_transaction(fields(web3, funded_key(0)))
    receipt = post(web3, funded_key(0), creation)
    assert receipt["status"] == 1
    return web3.eth.contract(address=receipt["contractAddress"], abi=artefact().abi)


def fields(web3: Web3, key: Key, **more: Any) -> Any:
    sender = Web3.to_checksum_address(key.address)
    return {"from": sender, "nonce": web3.eth.get_transaction_count(sender), "chainId": CHAIN_ID, **more}


def post(web3: Web3, key: Key, transaction: Any) -> Any:
    transaction.pop("from", None)
    signed = Account.sign_transaction(transaction, key.secret)
    return web3.eth.wait_for_transaction_receipt(web3.eth.send_raw_transaction(signed.raw_transaction))


def transfer(web3: Web3, key: Key, to: bytes, value: int, **more: Any) -> Any:
    fees = {"type": 2, "maxFeePerGas": 10**10, "maxPriorityFeePerGas": 10**9}
    return fields(web3, key, to=Web3.to_checksum_address(to), value=value, gas=21_000, **fees) | more


def ask(url: str, body: bytes | Any) -> Any:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.post(url, content=content).json()


def request(method: str, *params: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": 7, "method": method, "params": list(params)}


def test_the_accounts_are_those_of_the_well_known_phrase() -> None:
    Account.enable_unaudited_hdwallet_features()
    phrase = "test test test test test test test test test test test junk"

    derived = [Account.from_mnemonic(phrase, account_path=f"m/44'/60'/0'/0/{index}").key for index in range(5)]

    assert [bytes(key) for key in derived] == [key.secret for key in funded_keys()]


def test_the_accounts_are_rich_and_the_chain_is_named(web3: Web3) -> None:
    last = Web3.to_checksum_address(funded_key(4).address)

    assert web3.eth.chain_id == CHAIN_ID
    assert int(web3.eth.get_balance(last)) == GENESIS_BALANCE
    assert web3.eth.get_code(last) == b""


def test_a_transfer_arrives_and_is_found_again(web3: Web3) -> None:
    to = Key.generate().address

    receipt = post(web3, funded_key(1), transfer(web3, funded_key(1), to, 5))

    found: Any = web3.eth.get_transaction(receipt["transactionHash"])
    block: Any = web3.eth.get_block(receipt["blockNumber"], full_transactions=True)
    assert web3.eth.get_balance(Web3.to_checksum_address(to)) == 5
    assert (receipt["status"], receipt["gasUsed"], found["value"], found["type"]) == (1, 21_000, 5, 2)
    assert found["blockHash"] == block["hash"] == receipt["blockHash"]
    assert block["transactions"][0]["hash"] == found["hash"]
    assert web3.eth.get_block(block["hash"])["number"] == block["number"]


def test_the_fee_is_what_the_receipt_says(web3: Web3) -> None:
    sender = Web3.to_checksum_address(funded_key(1).address)
    before = web3.eth.get_balance(sender)

    receipt = post(web3, funded_key(1), transfer(web3, funded_key(1), bytes(19) + b"\x99", 0))

    assert web3.eth.get_balance(sender) == before - receipt["gasUsed"] * receipt["effectiveGasPrice"]


def test_a_contract_is_deployed_and_read(web3: Web3, contract: Any) -> None:
    assert contract.functions.MINIMUM_STAKE().call() == 10**18
    assert contract.functions.DEPLOYED_AT().call() > 0


def test_events_are_found_by_topic_and_address(web3: Web3, contract: Any) -> None:
    node, operator = Key.generate(), funded_key(2)
    register(web3, contract, operator, node)
    event = contract.events.Registered()
    query: Any = {"fromBlock": 0, "toBlock": "latest", "address": contract.address, "topics": [event.topic]}
    of_node = "0x" + node.address.rjust(32, b"\0").hex()

    def logs(**change: Any) -> Any:
        return web3.eth.get_logs(query | change)

    (log,) = logs(topics=[[event.topic, "0x" + "11" * 32], of_node])

    assert event.process_log(log)["args"]["node"] == Web3.to_checksum_address(node.address)
    assert len(logs()) >= 1
    assert logs(topics=[None, "0x" + "22" * 32]) == []
    assert logs(address=Web3.to_checksum_address(node.address)) == []
    assert logs(fromBlock=log["blockNumber"] + 1) == []
    assert len(web3.eth.get_logs({"blockHash": log["blockHash"]})) == 1


def register(web3: Web3, contract: Any, operator: Key, node: Key) -> Any:
    from tallynet.ledger.rules import consent
    from tallynet.protocol.eip712 import Domain
    from tallynet.protocol.units import Address

    domain = Domain(CHAIN_ID, Address(bytes.fromhex(contract.address[2:])))
    call = contract.functions.register(
        Web3.to_checksum_address(node.address), "/ip4/127.0.0.1", consent(domain, operator.address, node)
    )
    return post(web3, operator, call.build_transaction(fields(web3, operator, value=10**18)))


def test_a_revert_carries_its_reason(web3: Web3, contract: Any) -> None:
    anchor = contract.functions.anchor(1, bytes(32), [])

    with pytest.raises(ContractLogicError, match="execution reverted: ledger: node is not registered") as call:
        anchor.call({"from": Web3.to_checksum_address(funded_key(3).address)})
    with pytest.raises(ContractLogicError, match="ledger: node is not registered"):
        anchor.estimate_gas({"from": Web3.to_checksum_address(funded_key(3).address)})

    assert str(call.value.data).startswith("0x08c379a0")


def test_a_failing_transaction_is_mined_and_marked(web3: Web3, contract: Any) -> None:
    key = funded_key(3)
    doomed = contract.functions.anchor(1, bytes(32), []).build_transaction(fields(web3, key, gas=100_000))

    receipt = post(web3, key, doomed)

    assert receipt["status"] == 0
    assert receipt["logs"] == []


def test_the_estimate_is_enough_and_not_much_more(web3: Web3, contract: Any) -> None:
    node = Key.generate()

    receipt = register(web3, contract, funded_key(2), node)  # its gas limit is the estimate

    used, limit = receipt["gasUsed"], web3.eth.get_transaction(receipt["transactionHash"])["gas"]
    assert receipt["status"] == 1
    assert used <= limit <= used * 1.05


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"nonce": 0}, "nonce too low"),
        ({"nonce": 10**6}, "nonce too high"),
        ({"value": 10**30}, "insufficient funds"),
        ({"gas": 20_000}, "intrinsic gas too low"),
        ({"gas": 40_000_000}, "exceeds block gas limit"),
        ({"maxFeePerGas": 1, "maxPriorityFeePerGas": 1}, "max fee per gas less than block base fee"),
        ({"chainId": 1}, "invalid chain id"),
    ],
)
def test_an_impossible_transaction_is_refused(web3: Web3, change: dict[str, int], words: str) -> None:
    post(web3, funded_key(1), transfer(web3, funded_key(1), bytes(20), 0))
    transaction = transfer(web3, funded_key(1), bytes(20), 0) | change
    number = web3.eth.block_number

    with pytest.raises(Web3RPCError, match=words):
        post(web3, funded_key(1), transaction)

    assert web3.eth.block_number == number


def test_a_transaction_is_taken_once(web3: Web3) -> None:
    transaction = transfer(web3, funded_key(1), bytes(20), 0)
    transaction.pop("from")
    raw = Account.sign_transaction(transaction, funded_key(1).secret).raw_transaction
    web3.eth.send_raw_transaction(raw)

    with pytest.raises(Web3RPCError, match="already known"):
        web3.eth.send_raw_transaction(raw)


def test_what_is_no_transaction_is_refused(web3: Web3) -> None:
    for raw in (b"", b"\x00", b"\x02\xc0", b"\x05" + bytes(20), bytes(range(256)), b"\xf8\xff"):
        with pytest.raises(Web3RPCError, match="the transaction cannot be read"):
            web3.eth.send_raw_transaction(raw)


def test_what_is_not_there_is_null(web3: Web3, url: str) -> None:
    with pytest.raises(TransactionNotFound):
        web3.eth.get_transaction_receipt(bytes(32))  # type: ignore[arg-type]
    assert ask(url, request("eth_getBlockByNumber", hex(10**9), False))["result"] is None
    assert ask(url, request("eth_getBlockByHash", "0x" + "00" * 32, False))["result"] is None


def test_the_state_of_an_earlier_block_can_be_read(web3: Web3) -> None:
    to = Web3.to_checksum_address(Key.generate().address)
    receipt = post(web3, funded_key(1), transfer(web3, funded_key(1), bytes.fromhex(to[2:]), 9))

    assert web3.eth.get_balance(to, receipt["blockNumber"] - 1) == 0
    assert web3.eth.get_balance(to, receipt["blockNumber"]) == 9


def test_fees_are_advised(web3: Web3) -> None:
    history = web3.eth.fee_history(4, "latest", [50.0])

    assert web3.eth.max_priority_fee == 10**9
    assert web3.eth.gas_price > 10**9
    assert len(history["baseFeePerGas"]) == len(history["gasUsedRatio"]) + 1


def test_a_batch_is_answered_in_order(url: str) -> None:
    batch = [request("eth_chainId") | {"id": 1}, request("nonsense") | {"id": 2}, request("eth_blockNumber")]

    first, second, third = ask(url, [*batch, {"jsonrpc": "2.0", "method": "eth_blockNumber"}])

    assert (first["id"], first["result"]) == (1, hex(CHAIN_ID))
    assert (second["id"], second["error"]["code"]) == (2, -32601)
    assert third["id"] == 7


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", -32700),
        (b"\xff\xfe", -32700),
        (b"[" * 100_000, -32700),
        ([], -32600),
        ([request("eth_chainId")] * (MAX_BATCH + 1), -32600),
        (5, -32600),
        ({"id": 1}, -32600),
        ({"id": 1, "method": 5}, -32600),
        (request("eth_chainId") | {"params": {"a": 1}}, -32602),
        (request("eth_getBalance"), -32602),
        (request("eth_getBalance", "0x12"), -32602),
        (request("eth_getBalance", "0x" + "00" * 20, "0xffffff"), -32602),
        (request("eth_getBalance", 12), -32602),
        (request("eth_call", "0x"), -32602),
        (request("eth_call", {"to": "0xzz"}), -32602),
        (request("eth_call", {"value": "-0x1"}), -32602),
        (request("eth_getLogs", {"topics": "abc"}), -32602),
        (request("eth_getLogs", {"topics": ["0x12"]}), -32602),
        (request("eth_getStorageAt", "0x" + "00" * 20, "0x" + "ff" * 33), -32602),
        (request("evm_increaseTime", -5), -32602),
        (request("evm_increaseTime", 2**60), -32602),
    ],
)
def test_a_bad_request_is_an_error_object(url: str, body: Any, code: int) -> None:
    assert ask(url, body)["error"]["code"] == code


def test_a_body_over_the_cap_is_refused(url: str) -> None:
    answer = httpx.post(url, content=b" " * (MAX_BODY_BYTES + 1))

    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == -32600


async def test_a_question_that_outlives_its_ledger_leaves_no_connection(url: str) -> None:
    rpc = Rpc(url, timeout_seconds=10.0)
    assert rpc._session is not None
    rpc.close()  # as when somebody gave up waiting, and the thread goes on

    assert await rpc.chain_id() == CHAIN_ID
    assert len(rpc._session.get_adapter(url).poolmanager.pools) == 0  # type: ignore[attr-defined]
