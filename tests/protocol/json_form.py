"""Statements and messages as JSON, and back: bytes as 0x-hex, integers above 2**53 - 1 as decimal strings.

With `name=camel` a statement reads as the typed data of EIP-712 that a wallet would be given.
"""

import re
from collections.abc import Callable, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, NewType, Union, get_args, get_origin, get_type_hints

import msgspec

LARGEST_NUMBER = 2**53 - 1
"""The largest integer that JavaScript reads exactly."""

DOMAIN_FIELDS = [
    {"name": "name", "type": "string"},
    {"name": "version", "type": "string"},
    {"name": "chainId", "type": "uint256"},
    {"name": "verifyingContract", "type": "address"},
]


def members(name: str, kind: bytes) -> list[dict[str, str]]:
    """The members that a type string such as `Chunk(bytes32 job,uint32 index)` lists."""
    match = re.fullmatch(rf"{name}\((.*)\)", kind.decode())
    assert match, f"{kind!r} is no type called {name}"
    pairs = (member.split(" ") for member in match[1].split(","))
    return [{"name": member, "type": typed} for typed, member in pairs]


def camel(name: str) -> str:
    """`max_price` is `maxPrice` in a type string."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def same(name: str) -> str:
    return name


def write(value: object, name: Callable[[str], str] = same) -> Any:
    """The JSON form of a value."""
    if isinstance(value, msgspec.Struct):
        fields = msgspec.structs.fields(value)
        return {name(field.name): write(getattr(value, field.name), name) for field in fields}
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [write(part, name) for part in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value) if abs(value) <= LARGEST_NUMBER else str(value)
    return value


def read(kind: Any, value: Any, name: Callable[[str], str] = same) -> Any:
    """A value of type `kind` from its JSON form; what is absent there has its default."""
    while get_origin(kind) is Annotated or isinstance(kind, NewType):
        kind = kind.__supertype__ if isinstance(kind, NewType) else get_args(kind)[0]
    if get_origin(kind) in (Union, UnionType):
        (kind,) = set(get_args(kind)) - {NoneType}
        return None if value is None else read(kind, value, name)
    if get_origin(kind) is tuple:
        return tuple(read(get_args(kind)[0], part, name) for part in value)
    if issubclass(kind, msgspec.Struct):
        hints = get_type_hints(kind)
        fields = msgspec.structs.fields(kind)
        given = [field.name for field in fields if field.required or name(field.name) in value]
        return kind(**{member: read(hints[member], value[name(member)], name) for member in given})
    return bytes.fromhex(value[2:]) if kind is bytes else kind(value)
