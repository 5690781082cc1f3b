"""JSON schemas, changed in all their parts."""

from collections.abc import Callable, Mapping
from functools import partial

Part = dict[str, object]

_VALUES = frozenset({"const", "default", "enum", "example", "examples"})
"""Keywords with values, in which nothing is a schema."""
_NAMES = frozenset({"$defs", "definitions", "dependentSchemas", "patternProperties", "properties"})
"""Keywords with names of the user's, each with a schema."""
_OTHERS = frozenset({"additionalProperties", "patternProperties", "unevaluatedProperties"})
"""Keywords that say what other members an object may have."""
_COMBINING = frozenset({"$ref", "allOf", "anyOf", "dependentSchemas", "else", "if", "not", "oneOf", "then"})
"""Keywords with further schemas for the same value."""


def moved(schema: Mapping[str, object], place: str) -> Part:
    """The schema as it has to stand inside another one, at the JSON pointer `place`, e.g. `/anyOf/0`.

    `#/$defs/Place` is a pointer from the root of the whole schema: one level down it would point to nothing.
    """
    return _changed(schema, partial(_refer, place))


def closed(schema: Mapping[str, object]) -> Part:
    """The same without members that it does not name, in every object of which it says nothing about others.

    What satisfies it satisfies the schema. One that has several schemas for one value stays as it is: the members that
    one of them names are others to the next.
    """
    combined: list[Part] = []

    def look(part: Part) -> Part:
        combined.extend([part] if _combines(part) else [])
        return part

    _changed(schema, look)
    return dict(schema) if combined else _changed(schema, _close)


def _changed(schema: Mapping[str, object], change: Callable[[Part], Part]) -> Part:
    return change({keyword: _changed_member(keyword, value, change) for keyword, value in schema.items()})


def _changed_member(keyword: str, value: object, change: Callable[[Part], Part]) -> object:
    if keyword in _VALUES:
        return value
    if keyword in _NAMES and isinstance(value, Mapping):
        return {name: _changed_value(inner, change) for name, inner in value.items()}
    return _changed_value(value, change)


def _changed_value(value: object, change: Callable[[Part], Part]) -> object:
    if isinstance(value, Mapping):
        return _changed(value, change)
    return [_changed_value(one, change) for one in value] if isinstance(value, list | tuple) else value


def _refer(place: str, part: Part) -> Part:
    target = part.get("$ref")
    inside = isinstance(target, str) and (target == "#" or target.startswith("#/"))
    return {**part, "$ref": f"#{place}{str(target)[1:]}"} if inside else part


def _combines(part: Part) -> bool:
    every = part.get("allOf")
    return len(part.keys() & (_COMBINING | {"properties"})) > 1 or (isinstance(every, list | tuple) and len(every) > 1)


def _close(part: Part) -> Part:
    return {**part, "additionalProperties": False} if "properties" in part and not _OTHERS & part.keys() else part
