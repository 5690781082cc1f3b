"""How deep foreign JSON nests, found out before it is parsed.

Parsers go one call deeper for each bracket and rely on Python's limit of recursion. Libraries raise that limit (py_ecc,
which comes with web3, to 100,000), and then a few thousand brackets end the whole process. Structs with typed members
need no such care: a parser goes no deeper into them than their types do.
"""

import re

MAX_JSON_DEPTH = 200
"""Most lists and objects within each other, in JSON that may hold anything."""

_PARTS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[{]+|[\]}]+', re.DOTALL)


def check_depth(data: str | bytes) -> None:
    """Raises `RecursionError`, as a parser does, for JSON that nests more than 200 deep."""
    text = data if isinstance(data, str) else data.decode("latin-1")
    depth = 0
    for part in _PARTS.finditer(text):
        if text[part.start()] in "[{":
            depth += part.end() - part.start()
        elif text[part.start()] in "]}":
            depth -= part.end() - part.start()
        if depth > MAX_JSON_DEPTH:
            raise RecursionError(f"it is nested more than {MAX_JSON_DEPTH} deep")
