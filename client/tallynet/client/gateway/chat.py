"""`POST /v1/chat/completions`: a dialogue, put through the model's own chat template by the node."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from tallynet.client.answer import Answer
from tallynet.client.gateway.asked import Asked, check_together
from tallynet.client.gateway.bodies import ChatBody, ChatMessage
from tallynet.client.gateway.config import GatewayConfig
from tallynet.client.gateway.faults import invalid
from tallynet.client.gateway.forms import Choice, envelope, finish_reason, token_name
from tallynet.client.gateway.policy import Policy
from tallynet.client.gateway.run import Run
from tallynet.protocol.chunk import ChunkBody
from tallynet.protocol.request import Message, Request
from tallynet.protocol.units import JobId, Seconds, TokenIds

NAME = "chatcmpl"


@dataclass(frozen=True, slots=True)
class Chat:
    """See `forms.Form`."""

    asked: Asked
    logprobs: bool
    operation: str = "chat"

    @classmethod
    def read(cls, body: ChatBody, policy: Policy, config: GatewayConfig) -> Self:
        """Raises `ApiError` 400."""
        choices = body.n or 1
        check_together(body, policy, choices)
        request = Request(messages=tuple(_turn(message) for message in body.messages))
        asked = Asked(
            body.model, (request,) * choices, _limit(body, config), body, policy,
            policy.deadline_seconds or config.deadline_seconds,
        )  # fmt: skip
        return cls(asked, bool(body.logprobs))

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
        choice = self._delta(index, {"content": body.text})
        return {**choice, "logprobs": _logprobs(body.tokens, body.logprobs)} if self.logprobs else choice

    def last(self, index: int, answer: Answer) -> Choice:
        return {**self._delta(index, {}), "finish_reason": finish_reason(answer)}

    def _delta(self, index: int, delta: dict[str, str]) -> Choice:
        return {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}

    def _choice(self, index: int, answer: Answer) -> Choice:
        return {
            "index": index,
            "message": {"role": "assistant", "content": answer.text, "refusal": None},
            "logprobs": _logprobs(answer.tokens, answer.logprobs) if self.logprobs else None,
            "finish_reason": finish_reason(answer),
        }


def _turn(message: ChatMessage) -> Message:
    """`developer` is what OpenAI's newer clients call the system."""
    content = message.content if isinstance(message.content, str) else "".join(part.text for part in message.content)
    return Message("system" if message.role == "developer" else message.role, content)


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
