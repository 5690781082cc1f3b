"""Our answers as LangChain's: words, calls of tools, and what the record says of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec
from langchain_core.messages import AIMessage, AIMessageChunk, ToolCall, ToolCallChunk
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call, tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk

from tallynet.client.answer import Answer
from tallynet.client.answer_stream import AnswerStream
from tallynet.client.blocking import BlockingStream
from tallynet.client.tools.calls import Call, CallReader, name_calls, names_of
from tallynet.protocol.leaf import Status
from tallynet.protocol.request import decode_request
from tallynet.protocol.units import prefixed

REASONS = {Status.EOS: "stop", Status.STOP: "stop", Status.LENGTH: "length"}


def make_message(answer: Answer) -> AIMessage:
    return AIMessage(
        content=answer.turn.content,
        tool_calls=_calls(answer),
        response_metadata=describe_answer(answer),
        usage_metadata=describe_usage(answer),
    )


@dataclass
class Telling:
    """A streamed answer in LangChain's chunks."""

    stream: AnswerStream | BlockingStream

    def piece(self, text: str) -> Iterator[ChatGenerationChunk]:
        """What the next text makes certain: one chunk, or none as long as it may become a call."""
        if not self._reader.names:
            yield _chunk(text, [])
            return
        before = len(self._reader.found)
        shown, calls = self._reader.feed(text)
        if shown or calls:
            yield _chunk(shown, self._call_chunks(calls, before))

    def end(self, answer: Answer) -> ChatGenerationChunk:
        """The last chunk: what was held back, and everything about the words."""
        before = len(self._reader.found)
        shown, calls = self._reader.finish()
        return _chunk(
            shown, self._call_chunks(calls, before), chunk_position="last",
            response_metadata=describe_answer(answer), usage_metadata=describe_usage(answer),
        )  # fmt: skip

    @cached_property
    def _reader(self) -> CallReader:
        return CallReader(names_of(decode_request(self.stream.order.request).tools))

    def _call_chunks(self, calls: Sequence[Call], before: int) -> list[ToolCallChunk]:
        named = name_calls(self.stream.order.job.id, calls, before)
        return [
            tool_call_chunk(name=call.name, args=call.arguments, id=call.id, index=index)
            for index, call in enumerate(named, before)
        ]


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
        "finish_reason": _reason(answer),
        "job": prefixed(answer.job),
        "node": prefixed(answer.node),
        "index": answer.index,
        "price_wei": answer.price,
        "output": prefixed(answer.output),
        "evidence": answer.evidence,
    }


def _calls(answer: Answer) -> list[ToolCall]:
    return [
        tool_call(name=call.name, args=msgspec.json.decode(call.arguments, type=dict[str, Any]), id=call.id)
        for call in answer.calls
    ]


def _chunk(text: str, calls: list[ToolCallChunk], **more: Any) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=AIMessageChunk(content=text, tool_call_chunks=calls, **more))


def _reason(answer: Answer) -> str:
    """`tool_calls` for an answer that calls, unless it was cut off."""
    reason = REASONS.get(answer.status, answer.status.name.lower())
    return "tool_calls" if reason == "stop" and answer.calls else reason
