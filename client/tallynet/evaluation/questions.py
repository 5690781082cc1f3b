"""A suite as jobs: one request with its parameters for each question, in one order. Source: spec chapter 8."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from tallynet.evaluation.suite import PLACE, AnyPart, BiasPart, ExactPart, PerplexityPart, Suite, TranslationPart
from tallynet.protocol.job import Sampling, Task
from tallynet.protocol.request import Message, Request
from tallynet.protocol.score import SCORE_SAMPLING

Side = Literal["", "one", "other"]


@dataclass(frozen=True, slots=True)
class Question:
    """What one job of an evaluation asks."""

    part: str
    item: int
    """Number of the item within its part, from 0."""
    side: Side
    """Which text of a pair; empty where there is one."""
    task: Task
    request: Request
    sampling: Sampling

    @property
    def name(self) -> str:
        """For people: `capitals 3`, `names 2 (other)`; counted from 1."""
        return f"{self.part} {self.item + 1}" + (f" ({self.side})" if self.side else "")


def list_questions(suite: Suite, limit: int) -> list[Question]:
    """All questions, part by part, of at most `limit` items of each part; 0 for all items."""
    return [question for part in suite.parts for question in _questions_of(part, limit)]


def take(part: AnyPart, limit: int) -> int:
    """How many items of a part are asked."""
    return min(len(part.items), limit) if limit else len(part.items)


def _questions_of(part: AnyPart, limit: int) -> Iterator[Question]:
    for number in range(take(part, limit)):
        match part:
            case ExactPart() | TranslationPart():
                yield _ask(part, number)
            case PerplexityPart():
                yield _score(part, number, "", part.items[number].text)
            case BiasPart():
                pair = part.items[number]
                yield _score(part, number, "one", pair.text.replace(PLACE, pair.one))
                yield _score(part, number, "other", pair.text.replace(PLACE, pair.other))


def _ask(part: ExactPart | TranslationPart, number: int) -> Question:
    """A dialogue of one turn, or the prompt as it is; answered greedily."""
    prompt = part.items[number].prompt
    instructions = (Message("system", part.system),) if part.system else ()
    request = Request(text=prompt) if part.raw else Request(messages=(*instructions, Message("user", prompt)))
    return Question(part.name, number, "", Task.GENERATE, request, Sampling(max_tokens=part.max_tokens))


def _score(part: AnyPart, number: int, side: Side, text: str) -> Question:
    return Question(part.name, number, side, Task.SCORE, Request(text=text), SCORE_SAMPLING)
