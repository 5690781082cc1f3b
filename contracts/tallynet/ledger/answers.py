"""What an endpoint answers, in our own types: blocks, logs and receipts, as web3 hands them over.

All of it is foreign. Whatever does not fit raises one of Python's own errors here, and `rpc` turns that into
`ChainUnreachable` in the same breath.
"""

from typing import Any

from tallynet.ledger.events import Log
from tallynet.ledger.history import Block, Receipt
from tallynet.protocol.units import Address, Digest, Seconds


def read_block(found: Any) -> Block:
    base_fee = int(found.get("baseFeePerGas", 0))
    return Block(int(found["number"]), read_word(found["hash"]), Seconds(int(found["timestamp"])), base_fee)


def read_log(found: Any) -> Log:
    topics = tuple(read_word(topic) for topic in found["topics"])
    where = (int(found["blockNumber"]), read_word(found["blockHash"]), read_word(found["transactionHash"]))
    return Log(Address(read_bytes(found["address"])), topics, read_bytes(found["data"]), *where)


def read_receipt(found: Any) -> Receipt:
    created = found.get("contractAddress")
    return Receipt(
        read_word(found["transactionHash"]),
        int(found["blockNumber"]),
        read_word(found["blockHash"]),
        succeeded=found["status"] == 1,
        gas=int(found["gasUsed"]),
        logs=tuple(read_log(log) for log in found["logs"]),
        contract=Address(read_bytes(created)) if created else None,
    )


def read_word(value: Any) -> Digest:
    found = read_bytes(value)
    if len(found) != 32:
        raise ValueError(f"{len(found)} bytes where 32 belong")
    return Digest(found)


def read_bytes(value: Any) -> bytes:
    return bytes.fromhex(value.removeprefix("0x")) if isinstance(value, str) else bytes(value)


def read_reason(error: Exception) -> str:
    """The revert text: from the revert data if the endpoint gives it, else from the endpoint's own words."""
    data = getattr(error, "data", None)
    data = data.get("data") if isinstance(data, dict) else data
    if isinstance(data, str) and data.startswith("0x08c379a0"):  # Error(string)
        string = bytes.fromhex(data[10:])[32:]
        return string[32 : 32 + int.from_bytes(string[:32], "big")].decode(errors="replace")
    return str(error.args[0]).partition("execution reverted: ")[2]
