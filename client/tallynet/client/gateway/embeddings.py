"""`POST /v1/embeddings`: texts into vectors, each text a job with a receipt of its own."""

import base64
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from tallynet.client.answer_stream import AnswerStream
from tallynet.client.client import AsyncClient
from tallynet.client.embedding import EmbedOptions, read_answer
from tallynet.client.gateway.bodies import EmbeddingsBody
from tallynet.client.gateway.config import GatewayConfig
from tallynet.client.gateway.connection import Payload
from tallynet.client.gateway.faults import invalid
from tallynet.client.gateway.policy import Policy
from tallynet.client.gateway.run import Run, tally_of
from tallynet.protocol.embedding import Vector
from tallynet.protocol.request import Request
from tallynet.protocol.units import Address


@dataclass(frozen=True, slots=True)
class Vectors:
    """An `asked.Errand` for vectors: one job for each text."""

    model: str
    requests: tuple[Request, ...]
    policy: Policy
    deadline_seconds: float
    base64: bool
    """Numbers as float32, little-endian, in base64; else as JSON's."""

    @classmethod
    def read(cls, body: EmbeddingsBody, policy: Policy, config: GatewayConfig) -> Self:
        """Raises `ApiError` 400."""
        requests = tuple(Request(text=text) for text in _texts(body))
        if policy.agreement is not None:
            raise invalid(
                "invalid_value",
                "Nodes cannot agree on a vector: theirs are alike and not equal. Leave agreement out.",
                "tally.agreement",
            )
        deadline = policy.deadline_seconds or config.deadline_seconds
        return cls(body.model, requests, policy, deadline, body.encoding_format == "base64")

    def begin(self, client: AsyncClient, request: Request, node: Address | None = None) -> AnswerStream:
        policy = self.policy
        options = EmbedOptions(
            deadline_seconds=self.deadline_seconds,
            max_price_wei=policy.max_price_wei,
            parents=policy.parent_outputs,
            node=node,
            nodes=policy.addresses,
        )
        return client.embedding_stream(self.model, request.text, **options)

    def whole(self, runs: Sequence[Run]) -> Payload:
        """The body of the answer; `runs` in the order of the texts."""
        tokens = sum(run.answer.usage.prompt_tokens for run in runs)
        return {
            "object": "list",
            "data": [self._entry(index, read_answer(run.answer).vector) for index, run in enumerate(runs)],
            "model": runs[0].answer.model_name,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
            "tally": tally_of(runs),
        }

    def _entry(self, index: int, vector: Vector) -> dict[str, object]:
        numbers = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode() if self.base64 else vector
        return {"object": "embedding", "index": index, "embedding": numbers}


def _texts(body: EmbeddingsBody) -> list[str]:
    given = [body.input] if isinstance(body.input, str) else body.input
    texts = [text for text in given if isinstance(text, str)]
    if len(texts) < len(given):
        raise invalid(
            "invalid_value",
            "Token ids are not taken: another model's mean nothing to this one. Send the texts themselves (LangChain: "
            "check_embedding_ctx_length=False).",
            "input",
        )
    empty = next((index for index, text in enumerate(texts) if not text), None)
    if empty is not None:
        raise invalid(
            "invalid_value",
            "A text is empty: there is nothing to make a vector of.",
            "input" if isinstance(body.input, str) else f"input[{empty}]",
        )
    return texts
