"""`POST /v1/chat/completions`: a dialogue, put through the model's own chat template by the node."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from tallynet.client.answer import Answer
from tallynet.client.gateway.asked import Asked, check_together
from tallynet.client.gateway.bodies import ChatBody, ChatMessage
from tallynet.client.gateway.config import GatewayConfig
from tallynet.client.gateway.faults import invalid
from tallynet.client.gateway.forms import Choice, envelope, finish_reason, token_name
from tallynet.client.gateway.policy import Policy
from tallynet.client.gateway.run import Run
from tallynet.client.gateway.tools import describe_calls, read_format
from tallynet.client.tools.calls import Call, CallReader, take_apart
from tallynet.protocol.chunk import ChunkBody
from tallynet.protocol.leaf import Status
from tallynet.protocol.request import Message, Request, ToolCall
from tallynet.protocol.units import JobId, Seconds, TokenIds

NAME = "chatcmpl"


@dataclass(frozen=True, slots=True)
class Chat:
    """See `forms.Form`."""

    asked: Asked
    logprobs: bool
    callable: frozenset[str] = frozenset()
    """Names of the tools that the answers may call."""
    operation: str = "chat"
    readers: defaultdict[int, CallReader] = field(init=False)
    """Of the choices that are streamed, by their index."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "readers", defaultdict(lambda: CallReader(self.callable)))

    @classmethod
    def read(cls, body: ChatBody, policy: Policy, config: GatewayConfig) -> Self:
        """Raises `ApiError` 400."""
        choices = body.n or 1
        check_together(body, policy, choices)
        form = read_format(body)
        turns = tuple(_turn(message, place) for place, message in enumerate(body.messages))
        request = Request(messages=turns, schema=form.schema, tools=form.tools)
        asked = Asked(
            body.model, (request,) * choices, _limit(body, config), body, policy,
            policy.deadline_seconds or config.deadline_seconds,
        )  # fmt: skip
        return cls(asked, bool(body.logprobs), form.names)

    def whole(self, runs: Sequence[Run], created: Seconds) -> dict[str, object]:
        choices = [self._choice(index, run.answer) for index, run in enumerate(runs)]
        return envelope("chat.completion", runs, created, NAME, choices)

    def event(self, job: JobId, model: str, created: Seconds, choices: Sequence[Choice]) -> dict[str, object]:
        return {
            "id": f"{NAME}-{job.hex()}",
            "object": "chat.completion.chunk",
            "created": created,
            "model": model,
            "choices": list(choices),
        }

    def first(self, index: int) -> Choice | None:
        return self._delta(index, {"role": "assistant", "content": ""})

    def piece(self, index: int, body: ChunkBody, offset: int) -> Choice:
        choice = self._delta(index, self._news(index, body.text))
        return {**choice, "logprobs": _logprobs(body.tokens, body.logprobs)} if self.logprobs else choice

    def last(self, index: int, answer: Answer) -> Choice:
        delta = self._news(index, None) if self.callable else {}
        return {**self._delta(index, delta), "finish_reason": _finish_reason(answer, self.readers[index].found)}

    def _news(self, index: int, text: str | None) -> dict[str, object]:
        """What `text`, or with None the end of the answer, makes certain of a choice."""
        if not self.callable:
            return {"content": text}
        reader = self.readers[index]
        before = len(reader.found)
        shown, calls = reader.finish() if text is None else reader.feed(text)
        told = [{"index": place, **call} for place, call in enumerate(describe_calls(calls), before)]
        return {**({"content": shown} if shown else {}), **({"tool_calls": told} if told else {})}

    def _delta(self, index: int, delta: dict[str, object]) -> Choice:
        return {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}

    def _choice(self, index: int, answer: Answer) -> Choice:
        message, calls = self._message(answer)
        return {
            "index": index,
            "message": message,
            "logprobs": _logprobs(answer.tokens, answer.logprobs) if self.logprobs else None,
            "finish_reason": _finish_reason(answer, calls),
        }

    def _message(self, answer: Answer) -> tuple[dict[str, object], Sequence[Call]]:
        """An answer taken apart, and the calls in it."""
        message: dict[str, object] = {"role": "assistant", "content": answer.text, "refusal": None}
        text, calls = take_apart(answer.text, self.callable)
        if calls:
            message |= {"content": text or None, "tool_calls": describe_calls(calls)}
        return message, calls


def _finish_reason(answer: Answer, calls: Sequence[Call]) -> str:
    return "tool_calls" if calls and answer.status is not Status.LENGTH else finish_reason(answer)


def _turn(message: ChatMessage, place: int) -> Message:
    """`developer` is what OpenAI's newer clients call the system. Raises `ApiError` for a turn that says nothing."""
    if message.content is None and not message.tool_calls:
        name = f"messages[{place}].content"
        raise invalid("missing_parameter", f"The parameter {name} is missing.", name)
    if (message.role == "tool") != (message.tool_call_id is not None):
        name = f"messages[{place}].tool_call_id"
        raise invalid("invalid_value", "A tool's turn, and no other, names the call that it answers.", name)
    if message.tool_calls and message.role != "assistant":
        raise invalid("invalid_value", "Only the assistant calls tools.", f"messages[{place}].tool_calls")
    calls = tuple(
        ToolCall(call.id, call.function.name, call.function.arguments or "{}") for call in message.tool_calls or ()
    )
    role = "system" if message.role == "developer" else message.role
    return Message(role, _content(message), tool_calls=calls, tool_call_id=message.tool_call_id or "")


def _content(message: ChatMessage) -> str:
    if message.content is None or isinstance(message.content, str):
        return message.content or ""
    return "".join(part.text for part in message.content)


def _limit(body: ChatBody, config: GatewayConfig) -> int:
    one, other = body.max_tokens, body.max_completion_tokens
    if one is not None and other is not None and one != other:
        raise invalid("invalid_value", "max_tokens and max_completion_tokens differ: give one.", "max_tokens")
    return one or other or config.default_max_tokens


def _logprobs(tokens: TokenIds, logprobs: Sequence[float]) -> dict[str, object]:
    content: list[dict[str, object]] = [
        {"token": token_name(token), "logprob": logprob, "bytes": None, "top_logprobs": []}
        for token, logprob in zip(tokens, logprobs, strict=True)
    ]
    return {"content": content, "refusal": None}
