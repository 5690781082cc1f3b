"""How the chapters of `protocol/spec` write types and numbers, and how their tables and lists are read."""

import re
from collections.abc import Iterator
from enum import Enum
from typing import Any

from msgspec import NODEFAULT, inspect

FLOAT32_MAX = (2 - 2**-23) * 2.0**127


def number(value: float) -> str:
    """2**53 - 1 rather than its sixteen digits; a small number as it is."""
    if value == -FLOAT32_MAX:
        return "-float32 max"
    if isinstance(value, float) and not value.is_integer():
        return repr(value)
    whole = int(value)
    if whole > 2**16 and (whole + 1).bit_count() == 1:
        return f"2**{whole.bit_length()} - 1"
    if whole >= 2**16 and whole.bit_count() == 1:
        return f"2**{whole.bit_length() - 1}"
    return str(whole)


def span(low: float | None, high: float | None) -> str:
    return "" if high is None else f" {number(low or 0)} … {number(high)}"


def describe(kind: inspect.Type) -> str:
    """A type with its bounds, both ends included: `int 0 … 255`, `list 0 … 8 of text 1 … 64`."""
    match kind:
        case inspect.IntType(ge=low, le=high, lt=above):
            return "int" + span(low, high if above is None else above - 1)
        case inspect.FloatType(ge=low, le=high):
            return "float" + span(low, high)
        case inspect.BytesType(min_length=least, max_length=most):
            return f"bytes {most}" if least == most and most is not None else "bytes" + span(least, most)
        case inspect.StrType(min_length=least, max_length=most, pattern=pattern):
            return "text" + span(least, most) + (f" `{pattern}`" if pattern else "")
        case inspect.VarTupleType(item_type=item, min_length=least, max_length=most):
            return "list" + span(least, most) + f" of {describe(item)}"
        case inspect.DictType(key_type=key, value_type=value, min_length=least, max_length=most):
            return "map" + span(least, most) + f" of {describe(key)} to {describe(value)}"
        case inspect.EnumType(cls=cls):
            return " or ".join(f"`{choice.value}`" for choice in cls)
        case inspect.StructType(cls=cls):
            return cls.__name__
        case inspect.UnionType(types=types):
            return " or ".join(describe(part) for part in types)
        case inspect.Metadata(type=inner):
            return describe(inner)
        case inspect.BoolType():
            return "bool"
        case inspect.NoneType():
            return "nil"
    raise TypeError(f"the chapters have no word for {kind}")


def fields(struct: type) -> list[tuple[str, str]]:
    """Name and type of every field, with the default where there is one."""
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)
    return [(field.name, describe(field.type) + default(field)) for field in info.fields]


def default(field: inspect.Field) -> str:
    if field.required:
        return ""
    value: Any = () if field.default is NODEFAULT else field.default
    if isinstance(value, Enum):
        return f" = {value.value}"
    if isinstance(value, float):
        return f" = {value:g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f" = {number(value)}"
    return {(): " = []", None: " = nil", b"": " = empty", "": " = empty", False: " = false"}[value]


def tables(text: str, caption: str) -> Iterator[tuple[str, list[list[str]]]]:
    """Tables under a line such as ``Fields of `path.Name`:``; the name, and the rows without the head."""
    for match in re.finditer(rf"^{caption} `([^`]+)`.*:\n\n((?:\|.*\n)+)", text, re.MULTILINE):
        lines = match[2].splitlines()[2:]
        yield (
            match[1],
            [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines],
        )


def lists(text: str) -> Iterator[tuple[str, list[tuple[int, str]]]]:
    """Numbered checks under a line such as ``Checks in `path::function`:``."""
    for match in re.finditer(r"^Checks in `([^`]+)`.*:\n\n((?:(?:- \(|  ).*\n)+)", text, re.MULTILINE):
        items = re.findall(r"^- \((\d+)\) (.+)$", match[2], re.MULTILINE)
        yield match[1], [(int(digits), words) for digits, words in items]
