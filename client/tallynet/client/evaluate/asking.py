"""The jobs of an evaluation: some at a time, each asked again where the network failed it."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import trio

from tallynet.client.answer import Answer
from tallynet.client.batch import AT_ONCE, Tell, ask_all
from tallynet.client.client import AsyncClient
from tallynet.client.conversation import JobRefused
from tallynet.client.evaluate.kept_answers import KeptAnswers
from tallynet.evaluation.questions import Question
from tallynet.protocol.bundle import Bundle
from tallynet.protocol.errors import Invalid, InvalidJob, Misconfigured, NodeUnreachable, TallyError
from tallynet.protocol.job import Task
from tallynet.protocol.units import Address

log = logging.getLogger(__name__)

TRIES = 3
"""Jobs that are signed for one question at most, each of which already tries several nodes."""
RETRY_SECONDS = 1.0
"""Before the second try; twice as long before the third."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for every job of an evaluation."""

    model: str
    """Its id, 0x…."""
    deadline_seconds: float
    max_price_wei: int | None = None
    nodes: Sequence[Address] = ()
    audit_consent: bool = False


async def answer_all(
    client: AsyncClient,
    questions: Sequence[Question],
    terms: Terms,
    *,
    at_once: int = AT_ONCE,
    kept: KeptAnswers | None = None,
    tell: Tell = lambda done: None,
) -> list[Bundle]:
    """The answer to each question, in their order, from `kept` where it is there. The first question that cannot be
    answered ends the others, and its error is raised; which one it is is logged. Raises ValueError for less than one at
    a time."""

    async def answer(question: Question) -> Bundle:
        try:
            return await _answer(client, question, terms, kept)
        except TallyError:
            log.warning("Question %s cannot be answered.", question.name)
            raise

    return await ask_all(answer, questions, at_once, tell)


async def _answer(client: AsyncClient, question: Question, terms: Terms, kept: KeptAnswers | None) -> Bundle:
    """The answer that is kept, or a new one, which then is."""
    if kept is not None and (found := await trio.to_thread.run_sync(kept.find, question)) is not None:
        return found
    bundle = (await _ask(client, question, terms)).bundle()
    if kept is not None:
        with trio.CancelScope(shield=True):  # it is paid for
            await trio.to_thread.run_sync(kept.keep, question, bundle)
    return bundle


async def _ask(client: AsyncClient, question: Question, terms: Terms) -> Answer:
    """A whole answer. What network and nodes fail at is tried again, and a node that cheats told of; what nobody can do
    is not."""
    for tried in range(1, TRIES + 1):
        try:
            answer = await ask_once(client, question, terms)
            if answer.status.finished:
                return answer
            error: TallyError = NodeUnreachable(f"The node ended the job with {answer.status.name.lower()}.")
        except (InvalidJob, JobRefused, Misconfigured):
            raise
        except TallyError as reason:
            error = reason
        level = logging.WARNING if isinstance(error, Invalid) else logging.INFO
        log.log(level, "%s, try %d of %d: %s", question.name, tried, TRIES, error)
        if tried < TRIES:
            await trio.sleep(RETRY_SECONDS * tried)
    raise error


async def ask_once(client: AsyncClient, question: Question, terms: Terms) -> Answer:
    """One job, answered or cut short."""
    if question.task is Task.SCORE:
        score = await client.score(
            terms.model, question.request.text, top=question.request.top, deadline_seconds=terms.deadline_seconds,
            max_price_wei=terms.max_price_wei, nodes=terms.nodes, audit_consent=terms.audit_consent,
        )  # fmt: skip
        return score.answer
    return await client.ask(
        terms.model, question.request, max_tokens=question.sampling.max_tokens,
        deadline_seconds=terms.deadline_seconds, max_price_wei=terms.max_price_wei, nodes=terms.nodes,
        audit_consent=terms.audit_consent,
    )  # fmt: skip
