"""The JSON-RPC methods that the embedded chain offers: what web3, cast and ethers need to read and to send.

Not offered, and answered as unknown: accounts that the node signs for, stored filters, subscriptions, traces.
"""

from collections.abc import Callable, Sequence
from typing import Any

from tallynet.devnet.chain.calls import Call
from tallynet.devnet.chain.evm import CHAIN_ID, GAS_LIMIT, EmbeddedChain
from tallynet.devnet.chain.forms import block_form, hex_data, log_form, receipt_form, transaction_form
from tallynet.devnet.chain.receipts import Log
from tallynet.devnet.chain.values import InvalidParams, address, data, mapping, one_or_many, parameter, quantity
from tallynet.protocol.units import Address

TIP_WEI = 10**9
"""What we advise to pay on top of the base fee, per gas."""
MAX_AHEAD_SECONDS = 10 * 365 * 24 * 3600

Method = Callable[[EmbeddedChain, Sequence[Any]], Any]


def _block_number(chain: EmbeddedChain, params: Sequence[Any]) -> str:
    return hex(chain.number)


def _gas_price(chain: EmbeddedChain, params: Sequence[Any]) -> str:
    return hex(chain.base_fee() + TIP_WEI)


def _fee_history(chain: EmbeddedChain, params: Sequence[Any]) -> Any:
    count = min(quantity(_hexed(parameter(params, 0, "block count")), "block count"), 1024)
    newest = _number(chain, parameter(params, 1, "newest block"))
    numbers = range(max(0, newest - count + 1), newest + 1)
    headers = [chain.header(number) for number in numbers]
    percentiles = one_or_many(params[2]) if len(params) > 2 else []
    return {
        "oldestBlock": hex(numbers.start),
        "baseFeePerGas": [hex(header.base_fee_per_gas or 0) for header in headers] + [hex(chain.base_fee())],
        "gasUsedRatio": [header.gas_used / header.gas_limit for header in headers],
        "reward": [[hex(TIP_WEI)] * len(percentiles) for _ in headers],
    }


def _balance(chain: EmbeddedChain, params: Sequence[Any]) -> str:
    return hex(chain.balance(_who(params), _at(chain, params, 1)))


def _nonce(chain: EmbeddedChain, params: Sequence[Any]) -> str:
    return hex(chain.nonce(_who(params), _at(chain, params, 1)))


def _code(chain: EmbeddedChain, params: Sequence[Any]) -> str:
    return hex_data(chain.code(_who(params), _at(chain, params, 1)))


def _storage(chain: EmbeddedChain, params: Sequence[Any]) -> str:
    slot = quantity(parameter(params, 1, "slot"), "slot")
    return f"0x{chain.storage(_who(params), slot, _at(chain, params, 2)):064x}"


def _call(chain: EmbeddedChain, params: Sequence[Any]) -> str:
    return hex_data(chain.call(_message(params), _at(chain, params, 1)))


def _estimate(chain: EmbeddedChain, params: Sequence[Any]) -> str:
    return hex(chain.estimate(_message(params), _at(chain, params, 1)))


def _send(chain: EmbeddedChain, params: Sequence[Any]) -> str:
    return hex_data(chain.send(data(parameter(params, 0, "transaction"), "transaction")))


def _transaction(chain: EmbeddedChain, params: Sequence[Any]) -> Any:
    mined = chain.mined(_hash(params))
    return mined and transaction_form(mined)


def _receipt(chain: EmbeddedChain, params: Sequence[Any]) -> Any:
    mined = chain.mined(_hash(params))
    return mined and receipt_form(mined)


def _block_by_number(chain: EmbeddedChain, params: Sequence[Any]) -> Any:
    return _block(chain, _number(chain, parameter(params, 0, "block")), params)


def _block_by_hash(chain: EmbeddedChain, params: Sequence[Any]) -> Any:
    try:
        return _block(chain, chain.number_of(_hash(params)), params)
    except KeyError:
        return None


def _logs(chain: EmbeddedChain, params: Sequence[Any]) -> Any:
    wanted = mapping(parameter(params, 0, "filter"), "filter")
    addresses = [address(one, "address") for one in one_or_many(wanted.get("address"))]
    topics = [[data(one, "topic", length=32) for one in one_or_many(place)] for place in wanted.get("topics") or []]
    first, last = _range(chain, wanted)
    return [log_form(log) for log in chain.logs(first, last) if _matches(log, addresses, topics)]


def _mine(chain: EmbeddedChain, params: Sequence[Any]) -> str:
    chain.mine()
    return "0x0"


def _increase_time(chain: EmbeddedChain, params: Sequence[Any]) -> str:
    seconds = quantity(_hexed(parameter(params, 0, "seconds")), "seconds")
    if chain.ahead_seconds + seconds > MAX_AHEAD_SECONDS:
        raise InvalidParams(f"{seconds} s more is further ahead than {MAX_AHEAD_SECONDS} s")
    chain.ahead_seconds += seconds
    return hex(chain.ahead_seconds)


METHODS: dict[str, Method] = {
    "eth_accounts": lambda chain, params: [],
    "eth_blockNumber": _block_number,
    "eth_call": _call,
    "eth_chainId": lambda chain, params: hex(CHAIN_ID),
    "eth_estimateGas": _estimate,
    "eth_feeHistory": _fee_history,
    "eth_gasPrice": _gas_price,
    "eth_getBalance": _balance,
    "eth_getBlockByHash": _block_by_hash,
    "eth_getBlockByNumber": _block_by_number,
    "eth_getCode": _code,
    "eth_getLogs": _logs,
    "eth_getStorageAt": _storage,
    "eth_getTransactionByHash": _transaction,
    "eth_getTransactionCount": _nonce,
    "eth_getTransactionReceipt": _receipt,
    "eth_maxPriorityFeePerGas": lambda chain, params: hex(TIP_WEI),
    "eth_sendRawTransaction": _send,
    "eth_syncing": lambda chain, params: False,
    "evm_increaseTime": _increase_time,
    "evm_mine": _mine,
    "net_version": lambda chain, params: str(CHAIN_ID),
    "web3_clientVersion": lambda chain, params: "tallynet-devnet/py-evm",
}


def _who(params: Sequence[Any]) -> Address:
    return address(parameter(params, 0, "address"), "address")


def _hash(params: Sequence[Any]) -> bytes:
    return data(parameter(params, 0, "hash"), "hash", length=32)


def _at(chain: EmbeddedChain, params: Sequence[Any], position: int) -> int:
    """The block that a question is about; the newest where none is named. Raises `InvalidParams` for no block."""
    number = _number(chain, params[position] if position < len(params) else "latest")
    if number > chain.number:
        raise InvalidParams(f"block {number} is not there yet, the newest is {chain.number}")
    return number


def _number(chain: EmbeddedChain, block: object) -> int:
    if block == "earliest":
        return 0
    if block in ("latest", "pending", "safe", "finalized", None):
        return chain.number
    return quantity(block, "block")


def _range(chain: EmbeddedChain, wanted: Any) -> tuple[int, int]:
    if "blockHash" not in wanted:
        return _number(chain, wanted.get("fromBlock")), _number(chain, wanted.get("toBlock"))
    try:
        number = chain.number_of(data(wanted["blockHash"], "blockHash", length=32))
    except KeyError as error:
        raise InvalidParams("blockHash is of no block here") from error
    return number, number


def _block(chain: EmbeddedChain, number: int, params: Sequence[Any]) -> Any:
    full = len(params) > 1 and params[1] is True
    return None if number > chain.number else block_form(chain.header(number), chain.transactions_in(number), full=full)


def _message(params: Sequence[Any]) -> Call:
    fields = mapping(parameter(params, 0, "call"), "call")
    to = fields.get("to")
    return Call(
        sender=address(fields.get("from") or "0x" + "00" * 20, "from"),
        to=address(to, "to") if to else None,
        value=quantity(fields.get("value", "0x0"), "value"),
        data=data(fields.get("input") or fields.get("data") or "0x", "data"),
        gas=min(quantity(fields.get("gas", hex(GAS_LIMIT)), "gas"), GAS_LIMIT),
    )


def _matches(log: Log, addresses: Sequence[bytes], topics: Sequence[Sequence[bytes]]) -> bool:
    if addresses and log.address not in addresses:
        return False
    if len(topics) > len(log.topics):
        return False
    return all(not any_of or topic in any_of for topic, any_of in zip(log.topics, topics, strict=False))


def _hexed(value: object) -> object:
    """Some clients write these as plain numbers."""
    return hex(value) if isinstance(value, int) and value >= 0 else value
