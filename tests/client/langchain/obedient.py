"""What a clever model would answer: it keeps to schemas, calls the first tool that it is offered, and then says so.

Its arguments are those that LangChain's standard tests look for: the number in the question, the name in quotes, and in
an object that can hold anything a member for each name in quotes.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from tallynet.protocol.chunk import ChunkBody
from tallynet.protocol.request import Request

SAID = "It is sunny."
WORD = "Meow."
SIZE = 5
"""Characters of a piece."""


def obey(request: Request) -> tuple[ChunkBody, ...]:
    text = _answer(request)
    pieces = [text[at : at + SIZE] for at in range(0, len(text), SIZE)]
    return tuple(ChunkBody((number,), piece, (-0.5,)) for number, piece in enumerate(pieces))


def _answer(request: Request) -> str:
    question = next(message.content for message in reversed(request.messages) if message.role == "user")
    if request.schema:
        schema = json.loads(request.schema)
        return _write(_example(schema, question, schema.get("$defs", {})))
    if request.tools and request.messages[-1].role == "user":
        function = json.loads(request.tools)[0]["function"]
        call = {"name": function["name"], "arguments": _example(function["parameters"], question, {})}
        return f"<tool_call>{_write(call)}</tool_call>"
    return SAID


def _example(schema: Mapping[str, Any], question: str, defined: Mapping[str, Any]) -> Any:
    """A value that satisfies the schema: with members that must be, and no others."""
    if "$ref" in schema:
        return _example(defined[schema["$ref"].removeprefix("#/$defs/")], question, defined)
    if "const" in schema:
        return schema["const"]
    if "anyOf" in schema:
        return _example(schema["anyOf"][0], question, defined)
    match schema.get("type"):
        case "object" if "properties" not in schema:
            return dict.fromkeys(re.findall(r"'(\w+)'", question), WORD)
        case "object":
            members = schema.get("required", ())
            return {name: _example(schema["properties"][name], question, defined) for name in members}
        case "integer":
            return int((re.findall(r"\d+", question) or ["1"])[0])
        case _:
            return (re.findall(r"'(.*?)'", question) or [WORD])[0]


def _write(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
