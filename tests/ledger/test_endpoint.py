"""An endpoint that answers rubbish, or not at all: no client believes it, and none tells its key."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from tallynet.ledger.chain import ChainLedger, ChainSettings
from tallynet.ledger.events import ANCHORED
from tallynet.ledger.outbox import Pacing
from tallynet.protocol.eip712 import keccak
from tallynet.protocol.errors import ChainUnreachable, Refused
from tallynet.protocol.units import Address, prefixed
from tests.ledger.worlds import NODE, OPERATOR, SECOND_NODE, TREE

CONTRACT = Address(b"\xc0" * 20)
SECRET = "v2/an-access-key"
QUICK = ChainSettings(timeout_seconds=2, pacing=Pacing(give_up_seconds=2, poll_seconds=0.01))


class Endpoint:
    """An HTTP server that answers each method with what the test says: a result, or a status and a body, or a
    function of the parameters that gives either."""

    def __init__(self, answers: dict[str, Any]) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                answer = answers.get(asked["method"], {"error": {"code": -32601, "message": "unknown method"}})
                answer = answer(asked["params"]) if callable(answer) else answer
                status, body = answer if isinstance(answer, tuple) else (200, self.framed(asked["id"], answer))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def framed(self, number: int, answer: Any) -> bytes:
                result = answer if isinstance(answer, dict) and "error" in answer else {"result": answer}
                return json.dumps({"jsonrpc": "2.0", "id": number, **result}).encode()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://user:password@127.0.0.1:{self.server.server_port}/{SECRET}"
        self.thread = Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})


@pytest.fixture
def answers() -> dict[str, Any]:
    """What an honest endpoint of a chain with a ledger answers while a client connects."""
    word = f"{CONTRACT.hex():0>64}"
    described = [f"0f{'0' * 62}", f"{0xE0:064x}", f"{0x120:064x}", f"{7:064x}", word, "0" * 64, f"{0x160:064x}"]
    described += [f"{8:064x}", b"Tallynet".hex().ljust(64, "0"), f"{1:064x}", b"1".hex().ljust(64, "0"), "0" * 64]
    views = {selector("eip712Domain()"): "0x" + "".join(described), selector("DEPLOYED_AT()"): "0x" + "0" * 64}
    return {"eth_chainId": "0x7", "eth_getCode": "0x00", "eth_call": lambda params: views[params[0]["data"][:10]]}


def selector(signature: str) -> str:
    return "0x" + keccak(signature.encode())[:4].hex()


@pytest.fixture
def endpoint(answers: dict[str, Any]) -> Iterator[Endpoint]:
    made = Endpoint(answers)
    made.thread.start()
    yield made
    made.server.shutdown()
    made.thread.join()
    made.server.server_close()


@asynccontextmanager
async def connected(endpoint: Endpoint) -> AsyncIterator[ChainLedger]:
    ledger = await ChainLedger.connect(endpoint.url, CONTRACT, settings=QUICK)
    try:
        yield ledger
    finally:
        await ledger.aclose()


def block(**changes: Any) -> dict[str, Any]:
    words = ["hash", "parentHash", "sha3Uncles", "stateRoot", "transactionsRoot", "receiptsRoot"]
    numbers = {"number": "0x5", "timestamp": "0x65", "baseFeePerGas": "0x7", "gasLimit": "0x0", "gasUsed": "0x0"}
    return {**dict.fromkeys(words, "0x" + "ab" * 32), **numbers, "transactions": [], "uncles": [], **changes}


async def test_an_rpc_url_is_spoken_to(endpoint: Endpoint, answers: dict[str, Any]) -> None:
    answers["eth_getBlockByNumber"] = block()
    async with connected(endpoint) as ledger:
        assert ledger.domain.chain_id == 7
        assert (await ledger.block_number(), await ledger.now()) == (5, 0x65)


async def test_a_chain_with_long_extra_data_is_read_all_the_same(endpoint: Endpoint, answers: dict[str, Any]) -> None:
    """Blocks of proof-of-authority chains carry signatures there."""
    answers["eth_getBlockByNumber"] = block(extraData="0x" + "00" * 97)
    async with connected(endpoint) as ledger:
        assert await ledger.block_number() == 5


async def test_nobody_at_the_port_is_unreachable() -> None:
    with pytest.raises(ChainUnreachable, match=r"127\.0\.0\.1:9 does not answer") as failure:
        await ChainLedger.connect(f"http://127.0.0.1:9/{SECRET}", CONTRACT, settings=QUICK)
    assert SECRET not in str(failure.value)


@pytest.mark.parametrize(
    "answer",
    [(500, b"down"), (401, b"who are you?"), (429, b"slow down"), (200, b"<html>"), (200, b"[]"), (200, b"")],
    ids=["500", "401", "429", "html", "array", "empty"],
)
async def test_an_endpoint_that_does_not_speak_json_rpc_is_unreachable(
    endpoint: Endpoint, answers: dict[str, Any], answer: tuple[int, bytes]
) -> None:
    answers["eth_chainId"] = answer
    with pytest.raises(ChainUnreachable, match=r"127\.0\.0\.1:\d+") as failure:
        await ChainLedger.connect(endpoint.url, CONTRACT, settings=QUICK)
    assert SECRET not in str(failure.value)
    assert "password" not in str(failure.value)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "0x",
        [],
        {},
        block(hash="0xab"),
        block(hash=None),
        block(number="five"),
        block(timestamp=None),
        {"error": {"code": -32000, "message": "header not found"}},
    ],
    ids=["none", "hex", "list", "empty", "short hash", "no hash", "no number", "no time", "error"],
)
async def test_a_block_that_is_none_is_the_fault_of_the_endpoint(
    endpoint: Endpoint, answers: dict[str, Any], answer: Any
) -> None:
    answers["eth_getBlockByNumber"] = answer
    async with connected(endpoint) as ledger:
        with pytest.raises(ChainUnreachable, match=r"127\.0\.0\.1:\d+"):
            await ledger.now()


async def test_a_contract_that_answers_rubbish_is_the_fault_of_the_endpoint(
    endpoint: Endpoint, answers: dict[str, Any]
) -> None:
    async with connected(endpoint) as ledger:
        for answer in ("0x", "0x12", "0x" + "ff" * 96, 5, None):
            answers["eth_call"] = answer
            with pytest.raises(ChainUnreachable):
                await ledger.head(NODE.address)


def raw_log(node: Address, **changes: Any) -> dict[str, Any]:
    """An anchor of seven leaves in block 5, as endpoints tell it."""
    where = {"blockNumber": "0x5", "blockHash": "0x" + "ab" * 32, "transactionHash": "0x" + "33" * 32}
    index = {"transactionIndex": "0x0", "logIndex": "0x0", "removed": False}
    topics = [prefixed(ANCHORED), "0x" + node.hex().rjust(64, "0")]
    data = f"0x{7:064x}" + TREE.root(7).hex()
    return {"address": prefixed(CONTRACT), "topics": topics, "data": data, **where, **index, **changes}


def raw_receipt(**changes: Any) -> dict[str, Any]:
    where = {"blockNumber": "0x5", "blockHash": "0x" + "ab" * 32, "transactionHash": "0x" + "33" * 32}
    return {**where, "status": "0x1", "gasUsed": "0xc350", "logs": [], "contractAddress": None, **changes}


@pytest.fixture
def anchored(answers: dict[str, Any]) -> dict[str, Any]:
    """The answers of a chain with one anchor of the node."""
    answers |= {"eth_getBlockByNumber": block(), "eth_getTransactionReceipt": raw_receipt()}
    answers["eth_getLogs"] = [raw_log(NODE.address)]
    return answers


async def test_an_anchor_is_read_from_what_the_endpoint_tells(endpoint: Endpoint, anchored: dict[str, Any]) -> None:
    async with connected(endpoint) as ledger:
        (anchor,) = await ledger.anchors(NODE.address)

    assert (anchor.node, anchor.size, anchor.root) == (NODE.address, 7, TREE.root(7))
    assert (anchor.block, anchor.time, anchor.gas, anchor.confirmed) == (5, 0x65, 50_000, False)


@pytest.mark.parametrize(
    "foreign",
    [
        raw_log(NODE.address, address="0x" + "11" * 20),
        raw_log(SECOND_NODE.address),
        raw_log(NODE.address, topics=["0x" + "22" * 32]),
        raw_log(NODE.address, blockNumber="0x6"),
    ],
    ids=["contract", "node", "event", "block"],
)
async def test_logs_that_were_not_asked_for_are_left_out(
    endpoint: Endpoint, anchored: dict[str, Any], foreign: dict[str, Any]
) -> None:
    anchored["eth_getLogs"] = [foreign, raw_log(NODE.address), foreign]
    async with connected(endpoint) as ledger:
        assert len(await ledger.anchors(NODE.address)) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"data": "0x"},
        {"data": f"0x{2**40:064x}" + "00" * 32},
        {"blockHash": "0xab"},
        {"blockHash": None},
        {"transactionHash": None},
        {"topics": None},
        {"blockNumber": None},
        {"blockHash": "0x" + "cd" * 32},
    ],
    ids=str,
)
async def test_a_malformed_log_is_the_fault_of_the_endpoint(
    endpoint: Endpoint, anchored: dict[str, Any], changes: dict[str, Any]
) -> None:
    anchored["eth_getLogs"] = [raw_log(NODE.address, **changes)]
    async with connected(endpoint) as ledger:
        with pytest.raises(ChainUnreachable):
            await ledger.anchors(NODE.address)


async def test_a_receipt_from_another_block_is_no_evidence(endpoint: Endpoint, anchored: dict[str, Any]) -> None:
    anchored["eth_getTransactionReceipt"] = raw_receipt(blockHash="0x" + "cd" * 32)
    async with connected(endpoint) as ledger:
        with pytest.raises(ChainUnreachable, match="three times"):
            await ledger.anchors(NODE.address)


REVERT_DATA = "0x08c379a0" + f"{32:064x}" + f"{10:064x}" + b"ledger: no".hex().ljust(64, "0")


@pytest.mark.parametrize(
    "error",
    [
        {"code": 3, "message": "execution reverted: ledger: no", "data": REVERT_DATA},
        {"code": 3, "message": "execution reverted", "data": REVERT_DATA},
        {"code": -32000, "message": "execution reverted: ledger: no", "data": None},
        {"code": -32603, "message": "reverted with reason string 'ledger: no'", "data": {"data": REVERT_DATA}},
    ],
    ids=["text and data", "data", "text", "nested data"],
)
async def test_every_clients_way_to_tell_a_revert_is_understood(
    endpoint: Endpoint, answers: dict[str, Any], error: dict[str, Any]
) -> None:
    answers["eth_estimateGas"] = {"error": error}
    async with connected(endpoint) as ledger:
        with pytest.raises(Refused, match="the ledger contract refused: no") as refusal:
            await ledger.begin_exit(OPERATOR, NODE.address)
    assert refusal.value.reason == "ledger: no"


async def test_a_revert_without_a_reason_is_refused_all_the_same(endpoint: Endpoint, answers: dict[str, Any]) -> None:
    answers["eth_estimateGas"] = {"error": {"code": 3, "message": "execution reverted", "data": "0x"}}
    async with connected(endpoint) as ledger:
        with pytest.raises(Refused) as refusal:
            await ledger.begin_exit(OPERATOR, NODE.address)
    assert refusal.value.reason == ""
