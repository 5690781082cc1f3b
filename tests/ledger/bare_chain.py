"""The contract on a bare EVM (revm), as `ContractLedger` wants a chain: a block for each transaction, gas for free.

The contract's code runs as it is; only what lies between it and us is left out: an RPC endpoint, the signatures of
transactions, the waiting for blocks. `tests/ledger/test_chain.py` has those.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from hashlib import sha256
from typing import Any

import trio
from eth_abi.abi import decode, encode
from pyrevm import EVM, BlockEnv, Env

from tallynet.ledger.artefact import artefact
from tallynet.ledger.contract import ContractLedger
from tallynet.ledger.events import Log
from tallynet.ledger.history import Block, Receipt
from tallynet.ledger.ledger import Challenge, Head, NodeEntry
from tallynet.ledger.outbox import Call, Draft, Fees, Pacing
from tallynet.ledger.rules import refused
from tallynet.protocol.eip712 import Domain, keccak
from tallynet.protocol.errors import Refused
from tallynet.protocol.fault import AnchoredAt
from tallynet.protocol.keys import Key
from tallynet.protocol.units import Address, Digest, Seconds, Wei, prefixed

CHAIN_ID = 1
_DEPLOYER = Address(b"\xde" * 20)
_NOBODY = Address(bytes(20))


class BareChain:
    """One chain with one ledger contract. Blocks have the time that `clock` gives, in seconds since the epoch."""

    def __init__(self, clock: Callable[[], int], *terms: int) -> None:
        """`terms` are the arguments of the contract's constructor."""
        self._clock = clock
        self.evm = EVM(env=Env(block=BlockEnv(number=0, timestamp=clock())), spec_id="CANCUN")
        code = artefact().bytecode + encode(_inputs("constructor"), terms)
        self.contract = Address(bytes.fromhex(self.evm.deploy(prefixed(_DEPLOYER), code)[2:]))
        self.domain = Domain(CHAIN_ID, self.contract)
        self._blocks = [self._block(0)]
        self._sent: dict[bytes, tuple[Address, Draft]] = {}
        self._receipts: dict[bytes, Receipt] = {}
        self._nonces: dict[Address, int] = {}

    def ledger(self, *, confirmations: int = 0) -> ContractLedger:
        pacing = Pacing(give_up_seconds=5, poll_seconds=0)
        return ContractLedger(
            self, self.domain, first_block=0, confirmations=confirmations, blocks_per_query=1000, pacing=pacing
        )

    def fund(self, key: Key, wei: int) -> None:
        self.evm.set_balance(prefixed(key.address), wei)

    def balance(self, address: Address) -> int:
        return int(self.evm.get_balance(prefixed(address)))

    # What the contract says

    def encode(self, function: str, arguments: Sequence[object]) -> bytes:
        types = _inputs(function)
        selector = keccak(f"{function}({','.join(types)})".encode())[:4]
        return selector + encode(types, arguments)

    async def head(self, node: Address) -> Head:
        size, root, anchored_at = await self._view("head", node)
        return Head(size, Digest(root), Seconds(anchored_at))

    async def ring(self, node: Address) -> list[AnchoredAt]:
        (pairs,) = await self._view("ring", node)
        return [AnchoredAt(size, Seconds(time)) for size, time in pairs]

    async def bond(self, node: Address) -> Wei:
        (bond,) = await self._view("bond", node)
        return Wei(bond)

    async def asked(self, node: Address, index: int) -> Challenge | None:
        ((challenger, bond, answer_by),) = await self._view("asked", node, index)
        return Challenge(node, index, _address(challenger), Wei(bond), Seconds(answer_by)) if answer_by else None

    async def entries(self, published: Mapping[Address, str]) -> list[NodeEntry]:
        (found,) = await self._view("nodes", list(published))
        entries = [
            NodeEntry(node, _address(operator), Wei(stake), published[node], Seconds(exiting_at))
            for node, (operator, stake, exiting_at, *_) in zip(published, found, strict=True)
        ]
        return [entry for entry in entries if entry.operator != _NOBODY]

    async def is_logged(self, node: Address, leaf_hash: Digest, index: int, path: Sequence[Digest]) -> bool:
        (found,) = await self._view("verify", node, leaf_hash, index, list(path))
        return bool(found)

    async def _view(self, function: str, *arguments: object) -> Any:
        await trio.lowlevel.checkpoint()
        call = Call(self.contract, self.encode(function, arguments), Wei(0))
        answer, _ = self._try(_DEPLOYER, call)
        return decode(_outputs(function), answer)

    # Transactions

    async def attempt(self, sender: Address, call: Call) -> None:
        await trio.lowlevel.checkpoint()
        self._try(sender, call)

    async def estimate(self, sender: Address, call: Call) -> int:
        await trio.lowlevel.checkpoint()
        return self._try(sender, call)[1]

    async def nonce(self, sender: Address) -> int:
        return self._nonces.get(sender, 0)

    async def fees(self) -> Fees:
        return Fees(0, 0)

    def sign(self, key: Key, draft: Draft) -> tuple[bytes, Digest]:
        transaction = Digest(sha256(key.address + repr(draft).encode()).digest())
        self._sent[transaction] = key.address, draft
        return transaction, transaction

    async def broadcast(self, raw: bytes) -> str:
        await trio.lowlevel.checkpoint()
        sender, draft = self._sent[raw]
        if raw not in self._receipts:
            self._receipts[raw] = self._mine(sender, draft.call, Digest(raw))
            self._nonces[sender] = draft.nonce + 1
        return ""

    async def is_known(self, transaction: Digest) -> bool:
        return transaction in self._receipts

    async def receipt(self, transaction: Digest) -> Receipt | None:
        await trio.lowlevel.checkpoint()
        return self._receipts.get(transaction)

    def _mine(self, sender: Address, call: Call, transaction: Digest) -> Receipt:
        block = self._block(len(self._blocks))
        self._set_block(block)
        try:
            self._send(sender, call)
        except Refused:
            succeeded, logs = False, list[Log]()
        else:
            succeeded, logs = True, self._logs(block, transaction)
        self._blocks.append(block)
        gas = int(self.evm.result.gas_used)  # type: ignore[union-attr]
        return Receipt(transaction, block.number, block.hash, succeeded, gas, tuple(logs), None)

    def _logs(self, block: Block, transaction: Digest) -> list[Log]:
        where = (block.number, block.hash, transaction)
        return [
            Log(_address(log.address), tuple(Digest(bytes.fromhex(topic[2:])) for topic in log.topics),
                bytes(log.data[1]), *where)
            for log in self.evm.result.logs  # type: ignore[union-attr]
        ]  # fmt: skip

    def _try(self, sender: Address, call: Call) -> tuple[bytes, int]:
        """Answer and gas of a call in the next block, which then never happened."""
        self._set_block(self._block(len(self._blocks)))
        before = self.evm.snapshot()
        try:
            answer = self._send(sender, call)
            return answer, int(self.evm.result.gas_used)  # type: ignore[union-attr]
        finally:
            self.evm.revert(before)

    def _send(self, sender: Address, call: Call) -> bytes:
        try:
            return bytes(self.evm.message_call(prefixed(sender), prefixed(self.contract), call.data, call.value))
        except RuntimeError as error:
            raise refused(_reason(error)) from error

    # Blocks

    async def latest(self) -> Block:
        await trio.lowlevel.checkpoint()
        return self._blocks[-1]

    async def block(self, number: int) -> Block | None:
        await trio.lowlevel.checkpoint()
        return self._blocks[number] if number < len(self._blocks) else None

    async def logs(self, topics: Sequence[Digest], first: int, last: int) -> list[Log]:
        await trio.lowlevel.checkpoint()
        logs = [log for receipt in self._receipts.values() for log in receipt.logs]
        wanted = [log for log in logs if log.topics[: len(topics)] == tuple(topics)]
        return [log for log in wanted if first <= log.block <= last]

    def _block(self, number: int) -> Block:
        return Block(number, Digest(sha256(number.to_bytes(8, "big")).digest()), Seconds(self._clock()), 0)

    def _set_block(self, block: Block) -> None:
        self.evm.set_block_env(BlockEnv(number=block.number, timestamp=block.time))


@cache
def _inputs(function: str) -> list[str]:
    (found,) = (part for part in artefact().abi if function in (part.get("name"), part["type"]))
    return [_type(part) for part in found["inputs"]]  # type: ignore[attr-defined]


@cache
def _outputs(function: str) -> list[str]:
    (found,) = (part for part in artefact().abi if part.get("name") == function)
    return [_type(part) for part in found["outputs"]]  # type: ignore[attr-defined]


def _type(part: dict[str, Any]) -> str:
    """A type as selectors are made of it: structs as tuples of their members."""
    if not part["type"].startswith("tuple"):
        return str(part["type"])
    return f"({','.join(_type(member) for member in part['components'])}){part['type'][len('tuple') :]}"


def _address(text: str) -> Address:
    return Address(bytes.fromhex(text[2:]))


def _reason(error: RuntimeError) -> str:
    """The text of `Error(string)` in what revm says."""
    found = re.search(r"output: 0x08c379a0[0-9a-f]{64}([0-9a-f]+)", str(error))
    if not found:
        return ""
    data = bytes.fromhex(found[1])
    return data[32 : 32 + int.from_bytes(data[:32], "big")].decode()
