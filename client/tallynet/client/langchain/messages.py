"""LangChain's messages as ours."""

from collections.abc import Sequence
from typing import Any

import msgspec
from langchain_core.messages import AIMessage, BaseMessage, ChatMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.messages import ToolCall as LangChainCall

from tallynet.client.json_text import write_json
from tallynet.client.langchain.access import read_hex
from tallynet.protocol.errors import InvalidJob
from tallynet.protocol.request import Message, Request, ToolCall
from tallynet.protocol.units import Digest

CALLS = ("tool_call", "tool_use")
"""Blocks that say once more what an AI message has in its `tool_calls`."""


def make_request(messages: Sequence[BaseMessage], documents: Sequence[str] = (), template: str = "") -> Request:
    """A dialogue. `documents` and `template` are digests in hex, which are sealed with it. Raises `InvalidJob`."""
    return _sealed(Request(messages=tuple(_turn(message) for message in messages)), documents, template)


def make_text_request(text: str, documents: Sequence[str] = (), template: str = "") -> Request:
    """The same of a text that the model goes on with."""
    return _sealed(Request(text=text), documents, template)


def _sealed(request: Request, documents: Sequence[str], template: str) -> Request:
    return msgspec.structs.replace(
        request,
        template=Digest(read_hex(template)) if template else None,
        documents=tuple(Digest(read_hex(document)) for document in documents),
    )


def _turn(message: BaseMessage) -> Message:
    match message:
        case AIMessage():
            return Message("assistant", _text(message), tool_calls=_calls(message))
        case ToolMessage():
            return Message("tool", _text(message), tool_call_id=message.tool_call_id)
        case ChatMessage():
            return Message(message.role, _text(message))
        case SystemMessage():
            return Message("system", _text(message))
        case HumanMessage():
            return Message("user", _text(message))
    raise InvalidJob(
        f"a message of type {message.type!r} has no place in a job", remedy="Send system, human, AI and tool messages."
    )


def _calls(message: AIMessage) -> tuple[ToolCall, ...]:
    if message.invalid_tool_calls:
        raise InvalidJob("a message calls a tool with broken JSON", remedy="Leave its invalid_tool_calls out.")
    return tuple(_call(call) for call in message.tool_calls)


def _call(call: LangChainCall) -> ToolCall:
    if not call["id"]:
        raise InvalidJob(f"a call of {call['name']!r} has no id", remedy="Give it one, which the tool's answer names.")
    return ToolCall(call["id"], call["name"], write_json(call["args"]))


def _text(message: BaseMessage) -> str:
    """The words of a message. Raises `InvalidJob` for pictures and whatever else is no text."""
    content = message.content
    if isinstance(content, str):
        return content
    told = isinstance(message, AIMessage)
    parts = [part if isinstance(part, str) else _block(part, told) for part in content]
    return "".join(parts)


def _block(block: dict[str, Any], calls: bool) -> str:
    """`calls`: whether blocks that are calls are told elsewhere."""
    if calls and block.get("type") in CALLS:
        return ""
    if block.get("type") != "text" or not isinstance(block.get("text"), str):
        raise InvalidJob(f"a message holds {block.get('type')!r}", remedy="Send text alone.")
    return str(block["text"])
