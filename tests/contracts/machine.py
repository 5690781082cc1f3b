"""The contract on a bare EVM (revm): thousands of calls a second, with a clock that the test sets."""

import re
from hashlib import sha256

from eth_abi.abi import decode, encode
from pyrevm import EVM, BlockEnv, Env

from tallynet.ledger.artefact import artefact
from tallynet.ledger.rules import consent
from tallynet.protocol.eip712 import Domain, keccak
from tallynet.protocol.keys import Key
from tallynet.protocol.merkle import Tree, leaf_hash
from tallynet.protocol.units import Address, Digest

ETHER = 10**18
START = 1_700_000_000
"""Time of every block until the test sets another, in seconds."""
UNBONDING = 86_400
CHAIN_ID = 1

_ENTRY = "(address,uint256,uint64,uint64,bytes32,uint64)"
_RETURNS = {
    "head": ["uint64", "bytes32", "uint64"],
    "node": [_ENTRY],
    "nodes": [_ENTRY + "[]"],
    "verify": ["bool"],
    "eip712Domain": ["bytes1", "string", "string", "uint256", "address", "bytes32", "uint256[]"],
    "MINIMUM_STAKE": ["uint256"],
    "UNBONDING_SECONDS": ["uint64"],
    "DEPLOYED_AT": ["uint256"],
}


class Reverted(Exception):
    """The contract refused; the text is its reason, empty where it gives none."""


class Machine:
    """One ledger contract with an operator who has coins, and a node."""

    def __init__(self, *, minimum_stake: int = ETHER, unbonding: int = UNBONDING) -> None:
        self.evm = EVM(env=Env(block=BlockEnv(number=7, timestamp=START)), spec_id="CANCUN")
        self.operator, self.node = named("operator"), named("node")
        self.fund(self.operator)
        creation = artefact().bytecode + encode(["uint256", "uint64"], [minimum_stake, unbonding])
        try:
            self.contract = self.evm.deploy(text(self.operator.address), creation)
        except RuntimeError as error:
            raise Reverted(_reason(error)) from error
        self.domain = Domain(CHAIN_ID, Address(bytes.fromhex(self.contract[2:])))

    def fund(self, key: Key) -> None:
        self.evm.set_balance(text(key.address), 1000 * ETHER)

    def balance(self, key: Key) -> int:
        return self.evm.get_balance(text(key.address))

    def set_time(self, seconds: int) -> None:
        self.evm.set_block_env(BlockEnv(number=8, timestamp=seconds))

    def call(self, sender: Key, signature: str, *arguments: object, value: int = 0) -> tuple[object, ...]:
        """Call `name(type,type)` and return what it returns."""
        name, types = signature[:-1].split("(")
        data = keccak(signature.encode())[:4] + encode(types.split(",") if types else [], arguments)
        try:
            answer = self.evm.message_call(text(sender.address), self.contract, data, value)
        except RuntimeError as error:
            raise Reverted(_reason(error)) from error
        return tuple(decode(_RETURNS.get(name, []), answer))

    def events(self) -> list[tuple[bytes, list[bytes], bytes]]:
        """Kind, indexed members and data of the events of the last call."""
        logs = self.evm.result.logs  # type: ignore[union-attr]
        topics = [[bytes.fromhex(topic[2:]) for topic in log.topics] for log in logs]
        return [(found[0], found[1:], bytes(log.data[1])) for found, log in zip(topics, logs, strict=True)]

    def register(
        self, *, operator: Key | None = None, value: int = ETHER, multiaddr: str = "", consented: bytes | None = None
    ) -> None:
        operator = operator or self.operator
        signature = consent(self.domain, operator.address, self.node) if consented is None else consented
        node = text(self.node.address)
        self.call(operator, "register(address,string,bytes)", node, multiaddr, signature, value=value)

    def anchor(self, size: int, root: bytes, proof: list[Digest]) -> None:
        self.call(self.node, "anchor(uint64,bytes32,bytes32[])", size, root, proof)

    def verify(self, leaf: bytes, index: int, path: list[Digest]) -> bool:
        signature = "verify(address,bytes32,uint64,bytes32[])"
        return self.call(self.operator, signature, text(self.node.address), leaf, index, path) == (True,)

    def begin_exit(self, sender: Key | None = None) -> None:
        self.call(sender or self.operator, "begin_exit(address)", text(self.node.address))

    def withdraw(self, sender: Key | None = None) -> None:
        self.call(sender or self.operator, "withdraw(address)", text(self.node.address))

    def head(self) -> tuple[object, ...]:
        """Size, root and time of the node's last anchor."""
        return self.call(self.operator, "head(address)", text(self.node.address))

    def entry(self) -> tuple[object, ...]:
        """Operator, stake, time of exit, size, root and time of the last anchor."""
        (found,) = self.call(self.operator, "node(address)", text(self.node.address))
        assert isinstance(found, tuple)
        return found


def named(name: str) -> Key:
    return Key(sha256(name.encode()).digest())


def text(address: Address) -> str:
    return "0x" + address.hex()


def word(address: Address) -> bytes:
    """An address as an indexed member of an event."""
    return bytes(12) + address


def tree(size: int, label: bytes = b"") -> Tree:
    return Tree(leaf_hash(label + number.to_bytes(4, "big")) for number in range(size))


def _reason(error: RuntimeError) -> str:
    """The text of `Error(string)` in what revm says."""
    found = re.search(r"output: 0x08c379a0[0-9a-f]{64}([0-9a-f]+)", str(error))
    if not found:
        return ""
    data = bytes.fromhex(found[1])
    return data[32 : 32 + int.from_bytes(data[:32], "big")].decode()
