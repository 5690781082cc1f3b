"""A ledger on py-evm whose every transaction tells its gas, and the log of a million entries that is anchored there.

All is fixed, so that every run measures the same: keys, sizes, the time of every block.
"""

import random
from collections.abc import Callable, Iterable

from eth_abi.abi import encode
from eth_tester import EthereumTester, PyEVMBackend  # type: ignore[import-untyped]

from tallynet.ledger.artefact import artefact
from tallynet.ledger.contract_court import accusation
from tallynet.ledger.rules import consent
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.fault import Fault
from tallynet.protocol.keys import Key
from tallynet.protocol.leaf import LEAF_BYTES
from tallynet.protocol.merkle import leaf_hash
from tallynet.protocol.merkle_tree import Tree
from tallynet.protocol.units import Address
from tests.contracts.machine import ETHER, calldata, text
from tests.protocol.examples import digest
from tests.protocol.faults import Signer

MULTIADDR = "/ip4/192.0.2.1/tcp/4001/p2p/16Uiu2HAm9VQmVJrCVvXrLJ9XJbUKbqJfvKZ7nLSzPTWEhDHkAbCd"
START = 1_800_000_000
BOND = ETHER // 100
ANSWER = 3_600
UNBONDING = 60
GAS_LIMIT = 6_000_000
MILLION = 10**6
LOG_SIZE = 2**20 + 1000
"""Entries of the log: an anchor of any size from a million to this one is "at 10^6"."""
SHOWN = 654_321
"""The one entry that has its 352 bytes."""
ENTRY = digest("the entry that is shown") * (LEAF_BYTES // 32)
OPERATOR, NODE, REPORTER, *OTHERS = (Key(number.to_bytes(32, "big")) for number in range(1, 10))
"""Some of the accounts that eth-tester funds."""


def million() -> Tree:
    """The log that is measured, a little larger than 2**20 entries."""
    numbers = (number.to_bytes(4, "big") for number in range(LOG_SIZE))
    return Tree(leaf_hash(ENTRY if at == SHOWN else entry) for at, entry in enumerate(numbers))


class Meter:
    """A ledger on a chain of its own, with a node whose log has a million entries."""

    def __init__(self, log: Tree) -> None:
        self.log = log
        parameters = PyEVMBackend.generate_genesis_params({"timestamp": START})
        self.chain = EthereumTester(PyEVMBackend(genesis_parameters=parameters))
        self.time = START
        self.contract = ""
        self.anchored: list[tuple[int, int]] = []
        """Size and time of all anchors of `NODE`."""
        terms = encode(["uint256", "uint64", "uint256", "uint64"], [ETHER, UNBONDING, BOND, ANSWER])
        self.deployed = self._send(OPERATOR, artefact().bytecode + terms, 0)
        self.domain = Domain(int(self.chain.backend.chain.chain_id), Address(bytes.fromhex(self.contract[2:])))
        self.speaker = Signer(NODE, self.domain)
        self.random = random.Random(MILLION)

    def call(self, sender: Key, function: str, *arguments: object, value: int = 0) -> int:
        """Gas of one transaction that calls the ledger."""
        return self._send(sender, calldata(function, *arguments), value)

    def register(self, node: Key) -> int:
        signature = consent(self.domain, OPERATOR.address, node)
        return self.call(OPERATOR, "register", node.address, MULTIADDR, signature, value=ETHER)

    def anchor(self, old: int, new: int, node: Key = NODE) -> int:
        proof = self.log.consistency(old, new) if old else []
        gas = self.call(node, "anchor", new, self.log.root(new), proof)
        if node is NODE:
            self.anchored.append((new, self.time))
        return gas

    def each(self, calls: Iterable[Callable[[], int]]) -> list[int]:
        """The gas of each, where none is seen by the next."""
        return [self.undone(call) for call in calls]

    def undone(self, call: Callable[[], int]) -> int:
        before, time = self.chain.take_snapshot(), self.time
        gas = call()
        self.chain.revert_to_snapshot(before)
        self.time = time
        return gas

    def slash(self, fault: Fault) -> int:
        return self.call(REPORTER, *accusation(fault, self.domain))

    def _send(self, sender: Key, data: bytes, value: int) -> int:
        self.time += 12
        self.chain.time_travel(self.time)
        fees = {"max_fee_per_gas": 10**10, "max_priority_fee_per_gas": 1}
        sent = {"from": text(sender.address), "data": "0x" + data.hex(), "value": value, "gas": GAS_LIMIT, **fees}
        if self.contract:
            sent["to"] = self.contract
        receipt = self.chain.get_transaction_receipt(self.chain.send_transaction(sent))
        if not receipt["status"]:
            raise RuntimeError(f"the contract refused {data[:4].hex()}")
        self.contract = self.contract or receipt["contract_address"]
        return int(receipt["gas_used"])
