"""Writing blocks, transactions, receipts and events as the Ethereum JSON-RPC API has them."""

from collections.abc import Sequence
from typing import Any

from eth.abc import BlockHeaderAPI

from tallynet.devnet.chain.receipts import Log, Mined

Json = dict[str, Any]


def hex_data(value: bytes) -> str:
    return "0x" + value.hex()


def block_form(header: BlockHeaderAPI, mined: Sequence[Mined], *, full: bool) -> Json:
    """`full` gives whole transactions, otherwise their hashes."""
    return {
        "number": hex(header.block_number),
        "hash": hex_data(header.hash),
        "parentHash": hex_data(header.parent_hash),
        "nonce": hex_data(header.nonce),
        "sha3Uncles": hex_data(header.uncles_hash),
        "logsBloom": _bloom(header.bloom),
        "transactionsRoot": hex_data(header.transaction_root),
        "stateRoot": hex_data(header.state_root),
        "receiptsRoot": hex_data(header.receipt_root),
        "miner": hex_data(header.coinbase),
        "difficulty": hex(header.difficulty),
        "totalDifficulty": "0x0",
        "extraData": hex_data(header.extra_data),
        "mixHash": hex_data(header.mix_hash),
        "size": "0x0",
        "gasLimit": hex(header.gas_limit),
        "gasUsed": hex(header.gas_used),
        "timestamp": hex(header.timestamp),
        "baseFeePerGas": hex(header.base_fee_per_gas or 0),
        "transactions": [transaction_form(one) if full else hex_data(one.signed.hash) for one in mined],
        "uncles": [],
    }


def transaction_form(mined: Mined) -> Json:
    signed = mined.signed
    return {
        "hash": hex_data(signed.hash),
        **_place(mined),
        "type": hex(_type(mined)),
        "chainId": None if signed.chain_id is None else hex(signed.chain_id),
        "nonce": hex(signed.nonce),
        "from": hex_data(signed.sender),
        "to": hex_data(signed.to) if signed.to else None,
        "value": hex(signed.value),
        "gas": hex(signed.gas),
        "gasPrice": hex(mined.gas_price),
        "maxFeePerGas": hex(signed.max_fee_per_gas),
        "maxPriorityFeePerGas": hex(signed.max_priority_fee_per_gas),
        "input": hex_data(signed.data),
        "r": hex(signed.r),
        "s": hex(signed.s),
        "v": hex(signed.y_parity),
    }


def receipt_form(mined: Mined) -> Json:
    signed = mined.signed
    return {
        "transactionHash": hex_data(signed.hash),
        **_place(mined),
        "type": hex(_type(mined)),
        "from": hex_data(signed.sender),
        "to": hex_data(signed.to) if signed.to else None,
        "status": hex(mined.succeeded),
        "gasUsed": hex(mined.gas_used),
        "cumulativeGasUsed": hex(mined.place.gas_before + mined.gas_used),
        "effectiveGasPrice": hex(mined.gas_price),
        "contractAddress": hex_data(mined.contract) if mined.contract else None,
        "logs": [log_form(log) for log in mined.logs],
        "logsBloom": _bloom(mined.bloom),
    }


def log_form(log: Log) -> Json:
    return {
        "address": hex_data(log.address),
        "topics": [hex_data(topic) for topic in log.topics],
        "data": hex_data(log.data),
        "blockNumber": hex(log.place.block),
        "blockHash": hex_data(log.place.block_hash),
        "transactionHash": hex_data(log.transaction),
        "transactionIndex": hex(log.place.index),
        "logIndex": hex(log.index),
        "removed": False,
    }


def _place(mined: Mined) -> Json:
    return {
        "blockNumber": hex(mined.place.block),
        "blockHash": hex_data(mined.place.block_hash),
        "transactionIndex": hex(mined.place.index),
    }


def _type(mined: Mined) -> int:
    """The first byte of a typed transaction (EIP-2718); 0 for the legacy form, which is an RLP list."""
    first = mined.signed.encode()[0]
    return first if first < 0x80 else 0


def _bloom(bloom: int) -> str:
    return f"0x{bloom:0512x}"
