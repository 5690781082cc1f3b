"""`POST /v1/completions`: a text that is continued as it stands."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from tallynet.client.answer import Answer
from tallynet.client.gateway.asked import Asked, check_together
from tallynet.client.gateway.bodies import CompletionBody
from tallynet.client.gateway.config import GatewayConfig
from tallynet.client.gateway.faults import invalid
from tallynet.client.gateway.forms import Choice, envelope, finish_reason, token_name
from tallynet.client.gateway.policy import Policy
from tallynet.client.gateway.run import Run
from tallynet.protocol.chunk import ChunkBody
from tallynet.protocol.request import Request
from tallynet.protocol.units import JobId, Seconds, TokenIds

NAME = "cmpl"
MAX_TOKENS_DEFAULT = 16
"""OpenAI's own."""


@dataclass(frozen=True, slots=True)
class Completion:
    """See `forms.Form`. With several prompts the choices of the first come first."""

    asked: Asked
    prefixes: tuple[str, ...]
    """What each choice begins with: its prompt when it is to be echoed, else nothing."""
    logprobs: bool
    operation: str = "text_completion"

    @classmethod
    def read(cls, body: CompletionBody, policy: Policy, config: GatewayConfig) -> Self:
        """Raises `ApiError` 400."""
        each = body.n or 1
        check_together(body, policy, each * len(body.prompts))
        _check_prompts(body)
        prompts = tuple(prompt for prompt in body.prompts for _ in range(each))
        asked = Asked(
            body.model, tuple(_request(prompt) for prompt in prompts), body.max_tokens or MAX_TOKENS_DEFAULT, body,
            policy, policy.deadline_seconds or config.deadline_seconds,
        )  # fmt: skip
        prefixes = tuple(str(prompt) if body.echo else "" for prompt in prompts)
        return cls(asked, prefixes, body.logprobs is not None)

    def whole(self, runs: Sequence[Run], created: Seconds) -> dict[str, object]:
        choices = [self._choice(index, run.answer) for index, run in enumerate(runs)]
        return envelope("text_completion", runs, created, NAME, choices)

    def event(self, job: JobId, model: str, created: Seconds, choices: Sequence[Choice]) -> dict[str, object]:
        return {
            "id": f"{NAME}-{job.hex()}",
            "object": "text_completion",
            "created": created,
            "model": model,
            "choices": list(choices),
        }

    def first(self, index: int) -> Choice | None:
        return _text(index, self.prefixes[index]) if self.prefixes[index] else None

    def piece(self, index: int, body: ChunkBody, offset: int) -> Choice:
        choice = _text(index, body.text)
        return {**choice, "logprobs": _logprobs([body], offset)} if self.logprobs else choice

    def last(self, index: int, answer: Answer) -> Choice:
        return {**_text(index, ""), "finish_reason": finish_reason(answer)}

    def _choice(self, index: int, answer: Answer) -> Choice:
        return {
            **_text(index, self.prefixes[index] + answer.text),
            "logprobs": _logprobs(answer.chunks, len(self.prefixes[index])) if self.logprobs else None,
            "finish_reason": finish_reason(answer),
        }


def _check_prompts(body: CompletionBody) -> None:
    if not body.prompts or not all(body.prompts):
        raise invalid("invalid_value", "A prompt is empty, or texts and token ids are mixed.", "prompt")
    if body.max_tokens == 0:
        raise invalid("invalid_value", "max_tokens 0 asks for nothing without echo and logprobs.", "max_tokens")
    if body.logprobs:
        raise invalid(
            "unsupported_parameter",
            "Of an answer nodes report the chosen tokens' logprobs and no others: set logprobs to 0. With echo, and "
            "max_tokens 0 or 1, those of likely tokens can be had too.",
            "logprobs",
        )
    if body.echo and not all(isinstance(prompt, str) for prompt in body.prompts):
        raise invalid(
            "unsupported_parameter",
            "Token ids cannot be echoed as text: only the model's tokenizer knows it. Leave echo out.",
            "echo",
        )


def _request(prompt: str | TokenIds) -> Request:
    return Request(text=prompt) if isinstance(prompt, str) else Request(tokens=prompt)


def _text(index: int, text: str) -> Choice:
    return {"index": index, "text": text, "logprobs": None, "finish_reason": None}


def _logprobs(chunks: Sequence[ChunkBody], offset: int) -> dict[str, object]:
    """`text_offset` is where a token's chunk begins: within a chunk only the tokenizer can tell."""
    tokens, offsets = [token for body in chunks for token in body.tokens], []
    for body in chunks:
        offsets += [offset] * len(body.tokens)
        offset += len(body.text)
    return {
        "tokens": [token_name(token) for token in tokens],
        "token_logprobs": [logprob for body in chunks for logprob in body.logprobs],
        "top_logprobs": None,
        "text_offset": offsets,
    }
