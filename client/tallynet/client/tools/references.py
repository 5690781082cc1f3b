"""A schema that becomes part of another: what it refers to inside itself moves with it.

`#/$defs/Place` is a pointer from the root of the whole schema; one level down it would point to nothing.
"""

from collections.abc import Mapping

_VALUES = frozenset({"const", "default", "enum", "example", "examples"})
"""Keywords with values, in which nothing is a reference."""
_NAMES = frozenset({"$defs", "definitions", "dependentSchemas", "patternProperties", "properties"})
"""Keywords with names of the user's, each with a schema."""


def moved(schema: Mapping[str, object], place: str) -> dict[str, object]:
    """The schema as it has to stand at the JSON pointer `place`, e.g. `/anyOf/0`."""
    return {keyword: _moved_member(keyword, value, place) for keyword, value in schema.items()}


def _moved_member(keyword: str, value: object, place: str) -> object:
    if keyword in _VALUES:
        return value
    if keyword == "$ref" and isinstance(value, str) and (value == "#" or value.startswith("#/")):
        return f"#{place}{value[1:]}"
    if keyword in _NAMES and isinstance(value, Mapping):
        return {name: _moved(inner, place) for name, inner in value.items()}
    return _moved(value, place)


def _moved(value: object, place: str) -> object:
    if isinstance(value, Mapping):
        return moved(value, place)
    return [_moved(one, place) for one in value] if isinstance(value, list | tuple) else value
