"""`POST /v1/completions` with `echo` and `logprobs`: a given text's own logprobs, as evaluation harnesses ask for them.

    {"prompt": "…" or token ids, "echo": true, "logprobs": 0 … 5, "max_tokens": 0 or 1, "temperature": 0}

Each prompt is one scoring job. With `max_tokens` 1 the likeliest token after the text is the one that is generated: the
same job tells it, so that nothing has to be generated, and it costs nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from tallynet.client.answer_stream import AnswerStream
from tallynet.client.client import AsyncClient
from tallynet.client.gateway.asked import check_together
from tallynet.client.gateway.bodies import CompletionBody
from tallynet.client.gateway.config import GatewayConfig
from tallynet.client.gateway.connection import Payload
from tallynet.client.gateway.faults import ApiError, invalid
from tallynet.client.gateway.forms import Choice, envelope
from tallynet.client.gateway.policy import Policy
from tallynet.client.gateway.run import Run, tally_of
from tallynet.client.score import Score, ScoreOptions, read_score
from tallynet.protocol.request import Request
from tallynet.protocol.score import Likely
from tallynet.protocol.units import Address, Seconds

NAME = "cmpl"


@dataclass(frozen=True, slots=True)
class Scored:
    """An `asked.Errand` for scores: one job for each prompt."""

    model: str
    requests: tuple[Request, ...]
    policy: Policy
    deadline_seconds: float
    told: int
    """How many likely tokens are told for each place, beside the text's own."""
    generates: bool
    """Whether the likeliest token after the text stands in the answer."""

    @classmethod
    def read(cls, body: CompletionBody, policy: Policy, config: GatewayConfig) -> Self:
        """Raises `ApiError` 400."""
        told, generates = body.logprobs or 0, body.max_tokens == 1
        _check(body, policy)
        top = max(told, 1) if generates else told
        requests = tuple(
            Request(text=prompt, top=top) if isinstance(prompt, str) else Request(tokens=prompt, top=top)
            for prompt in body.prompts
        )
        deadline = policy.deadline_seconds or config.deadline_seconds
        return cls(body.model, requests, policy, deadline, told, generates)

    def begin(self, client: AsyncClient, request: Request, node: Address | None = None) -> AnswerStream:
        policy = self.policy
        options = ScoreOptions(
            deadline_seconds=self.deadline_seconds,
            max_price_wei=policy.max_price_wei,
            parents=policy.parent_outputs,
            node=node,
            nodes=policy.addresses,
        )
        return client.score_stream(self.model, request, **options)

    def whole(self, runs: Sequence[Run], created: Seconds) -> Payload:
        """The body of the answer; `runs` in the order of the prompts."""
        scores = [read_score(run.answer) for run in runs]
        choices = [self._choice(index, score) for index, score in enumerate(scores)]
        prompt = sum(run.answer.usage.total_tokens for run in runs)
        generated = len(runs) if self.generates else 0
        usage = {"prompt_tokens": prompt, "completion_tokens": generated, "total_tokens": prompt + generated}
        answer = envelope("text_completion", runs, created, NAME, choices)
        return {**answer, "usage": usage, "tally": tally_of(runs)}

    def _choice(self, index: int, score: Score) -> Choice:
        context, scored = _texts(score)
        after = score.after[:1] if self.generates else ()
        texts = (context, *scored, *(likely.text for likely in after))
        tops = [token.likeliest for token in score.tokens] + [score.after for _ in after]
        own = [(token.text, token.logprob) for token in score.tokens] + [(one.text, one.logprob) for one in after]
        return {
            "index": index,
            "text": "".join(texts),
            "logprobs": {
                "tokens": list(texts),
                "token_logprobs": [None, *(logprob for _, logprob in own)],
                "top_logprobs": [None, *(self._top(*one, top) for one, top in zip(own, tops, strict=True))],
                "text_offset": _offsets(texts),
            },
            "finish_reason": "length",
        }

    def _top(self, text: str, logprob: float, likeliest: Sequence[Likely]) -> dict[str, float]:
        """By their texts, as OpenAI has it: of two tokens with one text the likelier stands there."""
        found = {likely.text: likely.logprob for likely in reversed(likeliest[: self.told])}
        return {**found, text: max(logprob, found.get(text, logprob))}


def is_scored(body: CompletionBody) -> bool:
    """Whether a completion asks for the logprobs of its own prompt."""
    return bool(body.echo) and body.logprobs is not None


def _check(body: CompletionBody, policy: Policy) -> None:
    if not body.prompts or not all(body.prompts):
        raise invalid("invalid_value", "A prompt is empty, or texts and token ids are mixed.", "prompt")
    if body.max_tokens is None or body.max_tokens > 1:
        raise _unsupported("max_tokens", "logprobs with echo go with max_tokens 0 or 1, not with a longer answer.")
    if body.max_tokens and body.temperature != 0:
        raise _unsupported("temperature", "The one token after an echo is the likeliest: set temperature to 0.")
    if body.stream:
        raise _unsupported("stream", "logprobs with echo come as a whole: leave stream out.")
    if (body.n or 1) > 1:
        raise _unsupported("n", "A text has only one score: leave n out.")
    if policy.agreement is not None:
        raise invalid(
            "invalid_value",
            "Nodes cannot agree on logprobs: theirs are alike and not equal. Leave agreement out.",
            "tally.agreement",
        )
    check_together(body, policy, len(body.prompts))


def _unsupported(param: str, message: str) -> ApiError:
    return invalid("unsupported_parameter", message, param)


def _texts(score: Score) -> tuple[str, list[str]]:
    """What stands before the first scored token, and the text of each. Where the model's tokens do not spell the text
    that was given, theirs is what is told: it is what was scored."""
    return score.context or "", [token.text for token in score.tokens]


def _offsets(texts: Sequence[str]) -> list[int]:
    found, at = list[int](), 0
    for text in texts:
        found.append(at)
        at += len(text)
    return found
