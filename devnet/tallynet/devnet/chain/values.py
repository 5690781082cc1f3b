"""Reading the parameters of a JSON-RPC call: quantities, data, addresses, as the Ethereum JSON-RPC API writes them."""

from collections.abc import Mapping, Sequence
from typing import Any

from tallynet.protocol.units import Address

MAX_QUANTITY = 2**256 - 1


class InvalidParams(Exception):
    """A parameter that is missing or malformed; says which and why."""


def parameter(params: Sequence[Any], position: int, name: str) -> Any:
    if position >= len(params):
        raise InvalidParams(f"missing parameter {position}: {name}")
    return params[position]


def quantity(value: object, name: str) -> int:
    """`0x…` without regard to leading zeros; 0 ≤ x < 2**256."""
    try:
        if not isinstance(value, str) or not value.startswith("0x"):
            raise ValueError("not a 0x… string")
        number = int(value, 16)
    except ValueError as error:
        raise InvalidParams(f"{name} is {value!r:.80}, not a quantity: {error}") from error
    if not 0 <= number <= MAX_QUANTITY:
        raise InvalidParams(f"{name} is {value!r:.80}, not within 256 bits")
    return number


def data(value: object, name: str, *, length: int | None = None) -> bytes:
    """`0x…` with two digits per byte; exactly `length` bytes where it is given."""
    try:
        if not isinstance(value, str) or not value.startswith("0x"):
            raise ValueError("not a 0x… string")
        read = bytes.fromhex(value[2:])
    except ValueError as error:
        raise InvalidParams(f"{name} is {value!r:.80}, not data: {error}") from error
    if length is not None and len(read) != length:
        raise InvalidParams(f"{name} has {len(read)} bytes, not {length}")
    return read


def address(value: object, name: str) -> Address:
    return Address(data(value, name, length=20))


def mapping(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InvalidParams(f"{name} is {value!r:.80}, not an object")
    return value


def one_or_many(value: object) -> list[Any]:
    """A filter's way to say 'any' (null), one value, or one of several."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
