"""A request, read: the jobs that it stands for, and on what terms."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tallynet.client.answer_stream import AnswerStream
from tallynet.client.client import AsyncClient
from tallynet.client.gateway.bodies import MAX_CHOICES, CommonBody
from tallynet.client.gateway.faults import invalid
from tallynet.client.gateway.policy import Policy
from tallynet.client.terms import AskOptions
from tallynet.protocol.request import Request
from tallynet.protocol.units import Address

LEAST_TOP_P = 0.000001
"""The smallest that a job can carry; it keeps one token, as `top_p: 0` does."""


class Errand(Protocol):
    """What the jobs of a request have in common, whatever the model is to do."""

    @property
    def model(self) -> str:
        """A name or a 0x id."""

    @property
    def requests(self) -> Sequence[Request]:
        """One for each job."""

    @property
    def policy(self) -> Policy:
        """Of the key and of the request together."""

    @property
    def deadline_seconds(self) -> float:
        """From the start of each job to its receipt."""

    def begin(self, client: AsyncClient, request: Request, node: Address | None = None) -> AnswerStream:
        """The job of one of the requests, not yet entered; `node`: of this node and no other."""


@dataclass(frozen=True, slots=True)
class Asked:
    """An errand for text: one job for each choice."""

    model: str
    """A name or a 0x id."""
    requests: tuple[Request, ...]
    max_tokens: int
    """Of each choice."""
    body: CommonBody
    policy: Policy
    """Of the key and of the request together."""
    deadline_seconds: float
    """From the start of each job to its receipt."""

    @property
    def options(self) -> AskOptions:
        body, policy = self.body, self.policy
        return AskOptions(
            max_tokens=self.max_tokens,
            temperature=temperature(body),
            top_k=body.top_k or 0,
            top_p=1.0 if body.top_p is None else max(body.top_p, LEAST_TOP_P),
            stop=body.stops,
            logit_bias={int(token): bias for token, bias in (body.logit_bias or {}).items()},
            deadline_seconds=self.deadline_seconds,
            max_price_wei=policy.max_price_wei,
            parents=policy.parent_outputs,
            nodes=policy.addresses,
        )

    def begin(self, client: AsyncClient, request: Request, node: Address | None = None) -> AnswerStream:
        options = self.options if node is None else AskOptions(**{**self.options, "node": node, "nodes": ()})
        return client.stream(self.model, request, **options)


def temperature(body: CommonBody) -> float:
    return 1.0 if body.temperature is None else body.temperature


def check_together(body: CommonBody, policy: Policy, choices: int) -> None:
    """What is right by itself and wrong together. Raises `ApiError` 400."""
    if choices > MAX_CHOICES:
        raise invalid("invalid_value", f"{choices} answers are asked for, {MAX_CHOICES} at most: ask twice.", "n")
    if body.stream_options is not None and not body.stream:
        raise invalid("invalid_value", "stream_options needs stream: true.", "stream_options")
    if body.seed is not None and temperature(body) != 0:
        raise invalid(
            "unsupported_parameter",
            "seed is not supported above temperature 0: the seed of a job is the digest of the signed job, so that "
            "nobody can choose it. Use temperature 0 for an answer that can be had again, or leave seed out.",
            "seed",
        )
    if policy.agreement is not None:
        _check_agreement(body, policy, choices)


def _check_agreement(body: CommonBody, policy: Policy, choices: int) -> None:
    agreement = policy.agreement
    if agreement and agreement.agree > agreement.among:
        raise invalid("invalid_value", "More nodes are to agree than to be asked.", "tally.agreement")
    if temperature(body) != 0 or body.stream or choices > 1:
        raise invalid(
            "invalid_value",
            "Nodes can only agree on one answer, at temperature 0 and without stream: set temperature to 0.",
            "tally.agreement",
        )
