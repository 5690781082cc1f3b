"""LangChain's messages as ours, and our answers as LangChain's."""

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ChatMessage, HumanMessage, SystemMessage
from langchain_core.messages.ai import UsageMetadata

from tallynet.client.answer import Answer
from tallynet.client.langchain.access import read_hex
from tallynet.protocol.errors import InvalidJob
from tallynet.protocol.leaf import Status
from tallynet.protocol.request import Message, Request
from tallynet.protocol.units import Digest, prefixed

REASONS = {Status.EOS: "stop", Status.STOP: "stop", Status.LENGTH: "length"}


def make_request(messages: Sequence[BaseMessage], documents: Sequence[str] = (), template: str = "") -> Request:
    """A dialogue. `documents` and `template` are digests in hex, which are sealed with it. Raises `InvalidJob`."""
    return Request(
        messages=tuple(Message(_role(message), _text(message)) for message in messages),
        template=Digest(read_hex(template)) if template else None,
        documents=tuple(Digest(read_hex(document)) for document in documents),
    )


def describe_usage(answer: Answer) -> UsageMetadata:
    usage = answer.usage
    return UsageMetadata(
        input_tokens=usage.prompt_tokens, output_tokens=usage.completion_tokens, total_tokens=usage.total_tokens
    )


def describe_answer(answer: Answer) -> dict[str, Any]:
    """The `response_metadata` of an answer: who said it, in which job, and what was checked."""
    return {
        "model_name": answer.model_name,
        "model_id": prefixed(answer.model),
        "finish_reason": REASONS.get(answer.status, answer.status.name.lower()),
        "job": prefixed(answer.job),
        "node": prefixed(answer.node),
        "index": answer.index,
        "price_wei": answer.price,
        "output": prefixed(answer.output),
        "evidence": answer.evidence,
    }


def _role(message: BaseMessage) -> str:
    if isinstance(message, ChatMessage):
        return message.role
    for kind, role in ((SystemMessage, "system"), (HumanMessage, "user"), (AIMessage, "assistant")):
        if isinstance(message, kind):
            return role
    raise InvalidJob(
        f"a message of type {message.type!r} has no place in a job", remedy="Send system, human and AI messages."
    )


def _text(message: BaseMessage) -> str:
    """The words of a message. Raises `InvalidJob` for pictures and whatever else is no text."""
    content = message.content
    if isinstance(content, str):
        return content
    parts = [part if isinstance(part, str) else _block(part) for part in content]
    return "".join(parts)


def _block(block: dict[str, Any]) -> str:
    if block.get("type") != "text" or not isinstance(block.get("text"), str):
        raise InvalidJob(f"a message holds {block.get('type')!r}", remedy="Send text alone.")
    return str(block["text"])
