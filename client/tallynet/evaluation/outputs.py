"""What a job of an evaluation brought: an answer's text, or the tokens of a text with their likelihood."""

from dataclasses import dataclass

from tallynet.evaluation.questions import Question
from tallynet.protocol.bundle import Bundle
from tallynet.protocol.bundle_openings import Whole
from tallynet.protocol.errors import InvalidBundle
from tallynet.protocol.job import Task
from tallynet.protocol.score import ScoredToken, decode_score


@dataclass(frozen=True, slots=True)
class Output:
    """Of one question."""

    text: str
    """The answer; of a score the text that was scored."""
    scored: tuple[ScoredToken, ...] = ()
    """Empty for an answer."""


def read_output(bundle: Bundle, question: Question) -> Output:
    """What a bundle opens. Raises `InvalidBundle` when it does not open all of it, `InvalidChunk` for no score."""
    if not isinstance(bundle.opening, Whole):
        raise InvalidBundle("it does not open the whole run")
    if question.task is Task.SCORE:
        scored, _ = decode_score(question.request, bundle.opening.prompt, bundle.opening.chunks)
        return Output(question.request.text, scored)
    return Output("".join(body.text for body in bundle.opening.chunks))
