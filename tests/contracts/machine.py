"""The contract on a bare EVM (revm): thousands of calls a second, with a clock that the test sets."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from typing import Any

import pytest
from eth_abi.abi import decode, encode
from pyrevm import EVM, BlockEnv, Env

from tallynet.ledger.artefact import artefact
from tallynet.ledger.contract_court import accusation
from tallynet.ledger.rules import RING, consent
from tallynet.protocol.eip712 import Domain, keccak
from tallynet.protocol.fault import AnchoredAt, Fault, Witness
from tallynet.protocol.keys import Key
from tallynet.protocol.merkle import leaf_hash
from tallynet.protocol.merkle_tree import Tree
from tallynet.protocol.units import Address, Digest, Seconds

ETHER = 10**18
START = 1_700_000_000
"""Time of every block until the test sets another, in seconds."""
UNBONDING = 86_400
BOND = ETHER // 100
ANSWER = 3_600
CHAIN_ID = 1


class Reverted(Exception):
    """The contract refused; the text is its reason, empty where it gives none."""


def refuses(reason: str) -> pytest.RaisesExc[Reverted]:
    """The context in which the contract refuses with these words."""
    return pytest.RaisesExc(Reverted, check=lambda error: str(error) == reason)


class Machine:
    """One ledger contract with an operator who has coins, and a node."""

    def __init__(
        self, *, minimum_stake: int = ETHER, unbonding: int = UNBONDING, bond: int = BOND, answer: int = ANSWER
    ) -> None:
        self.evm = EVM(env=Env(block=BlockEnv(number=7, timestamp=START)), spec_id="CANCUN")
        self.operator, self.node = named("operator"), named("node")
        self.fund(self.operator)
        constants = encode(["uint256", "uint64", "uint256", "uint64"], [minimum_stake, unbonding, bond, answer])
        try:
            self.contract = self.evm.deploy(text(self.operator.address), artefact().bytecode + constants)
        except RuntimeError as error:
            raise Reverted(_reason(error)) from error
        self.domain = Domain(CHAIN_ID, Address(bytes.fromhex(self.contract[2:])))

    def fund(self, key: Key) -> None:
        self.evm.set_balance(text(key.address), 1000 * ETHER)

    def balance(self, key: Key) -> int:
        return self.evm.get_balance(text(key.address))

    def set_time(self, seconds: int) -> None:
        self.evm.set_block_env(BlockEnv(number=8, timestamp=seconds))

    @contextmanager
    def undone(self) -> Iterator[None]:
        """What happens inside is taken back afterwards; the clock is not."""
        before = self.evm.snapshot()
        yield
        self.evm.revert(before)

    def call(self, sender: Key, function: str, *arguments: object, value: int = 0) -> tuple[Any, ...]:
        """Call a function of the ledger by its name and return what it returns."""
        try:
            answer = self.evm.message_call(text(sender.address), self.contract, calldata(function, *arguments), value)
        except RuntimeError as error:
            raise Reverted(_reason(error)) from error
        return tuple(decode(_types(function, "outputs"), answer))

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
        self.call(operator, "register", self.node.address, multiaddr, signature, value=value)

    def anchor(self, size: int, root: bytes, proof: list[Digest]) -> None:
        self.call(self.node, "anchor", size, root, proof)

    def verify(self, leaf: bytes, index: int, path: list[Digest]) -> bool:
        return self.call(self.operator, "verify", self.node.address, leaf, index, path) == (True,)

    def begin_exit(self, sender: Key | None = None) -> None:
        self.call(sender or self.operator, "begin_exit", self.node.address)

    def withdraw(self, sender: Key | None = None) -> None:
        self.call(sender or self.operator, "withdraw", self.node.address)

    def head(self) -> tuple[int, bytes, int]:
        """Size, root and time of the node's last anchor."""
        size, root, time = self.call(self.operator, "head", self.node.address)
        return int(size), bytes(root), int(time)

    def entry(self) -> tuple[object, ...]:
        """Operator, stake, time of exit, size, root and time of the last anchor."""
        (found,) = self.call(self.operator, "node", self.node.address)
        assert isinstance(found, tuple)
        return found

    def ring(self) -> list[tuple[int, int]]:
        """Size and time of the node's last anchors, the oldest first."""
        (found,) = self.call(self.operator, "ring", self.node.address)
        return list(found)

    def witness(self, now: int) -> Witness:
        """What the contract knows of the node when it judges at time `now`."""
        size, root, _ = self.head()
        ring = tuple(AnchoredAt(anchored, Seconds(time)) for anchored, time in self.ring())
        return Witness(size, Digest(root), Seconds(now), ring, len(ring) < RING)

    def slash(self, fault: Fault, reporter: Key | None = None) -> None:
        self.call(reporter or self.operator, *accusation(fault, self.domain))

    def bond(self) -> int:
        """What the next challenge costs."""
        return int(self.call(self.operator, "bond", self.node.address)[0])

    def challenge(self, index: int, challenger: Key, value: int | None = None) -> None:
        self.call(challenger, "challenge", self.node.address, index, value=self.bond() if value is None else value)

    def answer(self, index: int, leaf: bytes, path: Sequence[Digest]) -> None:
        self.call(self.operator, "answer", self.node.address, index, leaf, path)

    def finalize(self, index: int) -> None:
        self.call(self.operator, "finalize", self.node.address, index)

    def asked(self, index: int) -> tuple[str, int, int]:
        """Challenger, bond and time of the open challenge about an entry."""
        (found,) = self.call(self.operator, "asked", self.node.address, index)
        challenger, bond, answer_by = found
        return challenger, bond, answer_by


def calldata(function: str, *arguments: object) -> bytes:
    """A call of the ledger's function with this name."""
    types = _types(function, "inputs")
    return keccak(f"{function}({','.join(types)})".encode())[:4] + encode(types, arguments)


@cache
def _types(function: str, members: str) -> list[str]:
    """The types of a function's "inputs" or "outputs"."""
    abi: list[dict[str, Any]] = artefact().abi
    (found,) = (entry for entry in abi if (entry["type"], entry.get("name")) == ("function", function))
    return [_type(member) for member in found[members]]


def _type(member: dict[str, Any]) -> str:
    """A struct's type is that of its members."""
    if not member["type"].startswith("tuple"):
        return str(member["type"])
    return f"({','.join(_type(part) for part in member['components'])}){member['type'].removeprefix('tuple')}"


def named(name: str) -> Key:
    return Key(sha256(name.encode()).digest())


def text(address: Address) -> str:
    return "0x" + address.hex()


def word(address: Address) -> bytes:
    """An address as an indexed member of an event."""
    return bytes(12) + address


def tree(size: int, label: bytes = b"") -> Tree:
    return Tree(leaf_hash(label + number.to_bytes(4, "big")) for number in range(size))


TREE = tree(40)
MULTIADDR = "/ip4/192.0.2.1/tcp/4001/p2p/16Uiu2HAm"


def _reason(error: RuntimeError) -> str:
    """The text of `Error(string)` in what revm says."""
    found = re.search(r"output: 0x08c379a0[0-9a-f]{64}([0-9a-f]+)", str(error))
    if not found:
        return ""
    data = bytes.fromhex(found[1])
    return data[32 : 32 + int.from_bytes(data[:32], "big")].decode()
