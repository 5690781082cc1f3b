"""How answers look to OpenAI's clients: what chat and completion share, and the promise that both keep."""

from collections.abc import Sequence
from typing import Protocol

from tallynet.client.answer import Answer
from tallynet.client.gateway.asked import Asked
from tallynet.client.gateway.run import Run, tally_of
from tallynet.protocol.chunk import ChunkBody
from tallynet.protocol.leaf import Status
from tallynet.protocol.units import JobId, Seconds

Choice = dict[str, object]


class Form(Protocol):
    """One way of telling answers."""

    @property
    def asked(self) -> Asked: ...

    @property
    def operation(self) -> str:
        """As OpenTelemetry names it."""

    def whole(self, runs: Sequence[Run], created: Seconds) -> dict[str, object]:
        """The body of an answer that is not streamed."""

    def event(self, job: JobId, model: str, created: Seconds, choices: Sequence[Choice]) -> dict[str, object]:
        """The frame of an event; `job` and `model` are those of the first choice."""

    def first(self, index: int) -> Choice | None:
        """What a choice begins with, before the node's first words."""

    def piece(self, index: int, body: ChunkBody, offset: int) -> Choice:
        """A chunk of the answer; `offset` is how many characters came before it."""

    def last(self, index: int, answer: Answer) -> Choice:
        """The end of a choice, with its finish reason."""


def usage_of(answers: Sequence[Answer]) -> dict[str, object]:
    """Of all choices together: each is a job of its own and has read the prompt."""
    prompt = sum(answer.usage.prompt_tokens for answer in answers)
    completion = sum(answer.usage.completion_tokens for answer in answers)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def finish_reason(answer: Answer) -> str:
    """Of an answer that is finished."""
    return "length" if answer.status is Status.LENGTH else "stop"


def token_name(token: int) -> str:
    """A token stands as its id: which characters are its own only the model's tokenizer can tell."""
    return f"token_id:{token}"


def envelope(
    kind: str, runs: Sequence[Run], created: Seconds, name: str, choices: Sequence[Choice]
) -> dict[str, object]:
    """An answer as a whole. `name` begins its id."""
    first = runs[0].answer
    return {
        "id": f"{name}-{first.job.hex()}",
        "object": kind,
        "created": created,
        "model": first.model_name,
        "system_fingerprint": f"fp_{first.receipt.leaf.runtime.hex()[:16]}",
        "choices": list(choices),
        "usage": usage_of([run.answer for run in runs]),
        "tally": tally_of(runs),
    }
