"""Trying a call out on the embedded chain: what it would return, and how much gas it needs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from eth.abc import ComputationAPI, VirtualMachineAPI
from eth.constants import CREATE_CONTRACT_ADDRESS
from eth.exceptions import Revert
from eth.vm.spoof import SpoofTransaction
from eth_typing import Address as EthAddress
from eth_utils.exceptions import ValidationError

from tallynet.protocol.eip712 import keccak
from tallynet.protocol.units import Address

_ERROR = keccak(b"Error(string)")[:4]


class CallFailed(Exception):
    """A call that did not succeed. `data` is what the contract returned on a revert, None for other faults."""

    def __init__(self, message: str, data: bytes | None = None) -> None:
        super().__init__(message)
        self.data = data


@dataclass(frozen=True, slots=True)
class Call:
    """A message that is tried out and leaves no trace."""

    sender: Address
    to: Address | None
    """None creates a contract."""
    value: int
    data: bytes
    gas: int


def attempt(machine: VirtualMachineAPI, call: Call, gas: int) -> bytes:
    """What the call returns; `machine` must have a base fee of 0 and not be used again. Raises `CallFailed`."""
    unsigned = machine.create_unsigned_transaction(
        nonce=machine.state.get_nonce(EthAddress(call.sender)),
        gas_price=0,
        gas=gas,
        to=EthAddress(call.to or CREATE_CONTRACT_ADDRESS),
        value=call.value,
        data=call.data,
    )
    spoof: Any = SpoofTransaction(unsigned, from_=EthAddress(call.sender))
    try:
        done = machine.state.apply_transaction(spoof)
    except ValidationError as error:
        raise CallFailed(str(error)) from error
    if done.is_error:
        raise CallFailed(_reason(done), done.output if isinstance(done.error, Revert) else None)
    return done.output


def least_gas(machine: Callable[[], VirtualMachineAPI], call: Call) -> int:
    """The least gas limit with which the call succeeds, to 1 %; raises `CallFailed` when none does."""
    attempt(machine(), call, call.gas)
    too_little, enough = 0, call.gas
    while enough - too_little > max(1, enough // 100):
        middle = (too_little + enough) // 2
        try:
            attempt(machine(), call, middle)
        except CallFailed:
            too_little = middle
        else:
            enough = middle
    return enough


def _reason(done: ComputationAPI) -> str:
    """`execution reverted: …` where the contract gave words, as other nodes write it."""
    if not isinstance(done.error, Revert):
        return f"{type(done.error).__name__}: {done.error}"
    data = done.output
    if data[:4] != _ERROR or len(data) < 68:
        return "execution reverted"
    length = int.from_bytes(data[36:68], "big")
    return f"execution reverted: {data[68 : 68 + length].decode(errors='replace')}"
