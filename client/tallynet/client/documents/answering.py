"""A question, answered from documents: passages are found, numbered, shown to a model, sealed, and cited."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

from tallynet.client.client import AsyncClient
from tallynet.client.conversation import NodeRefused
from tallynet.client.documents.citation import Citation, read_citations
from tallynet.client.documents.length import is_too_long
from tallynet.client.documents.passage import Passage
from tallynet.client.documents.retrieval import Retrieval
from tallynet.client.tasks.preparing import PreparedTask
from tallynet.client.tasks.result import TaskResult, read_result
from tallynet.client.terms import AskOptions
from tallynet.protocol.errors import Misconfigured
from tallynet.templates.template import Template

PASSAGES = 4


@dataclass(frozen=True, slots=True)
class DocumentAnswer:
    """An answer, what it was made from, and what it names."""

    result: TaskResult
    """The answer's text, its receipt and evidence."""
    passages: tuple[Passage, ...]
    """All that the model was shown, in order; their digests stand in the signed request."""
    citations: tuple[Citation, ...]
    """Those that the answer names."""
    unknown: tuple[int, ...] = ()
    """Numbers in the answer that no passage has: the model made them up."""

    @property
    def text(self) -> str:
        return self.result.text


async def answer_from(
    client: AsyncClient,
    model: str,
    question: str,
    retrieval: Retrieval,
    *,
    count: int = PASSAGES,
    task: str | Template = "answer",
    templates: Path | None = None,
    **options: Unpack[AskOptions],
) -> DocumentAnswer:
    """Answer a question from the passages of `retrieval` that fit it best, at most `count`; fewer when the model's
    context is too short for them.

    Raises `Misconfigured` when no passage has anything to do with the question, and what `run_task` raises.
    """
    passages = [found.passage for found in await retrieval.find(question, count)]
    while True:
        prepared = await prepare_answer(client, model, question, passages, task, templates)
        try:
            async with client.stream_task(prepared, **options) as stream:
                return cite(read_result(prepared, await stream.finish()), passages)
        except NodeRefused as error:
            if len(passages) == 1 or not is_too_long(error):
                raise
            passages = passages[: len(passages) // 2]


async def prepare_answer(
    client: AsyncClient,
    model: str,
    question: str,
    passages: Sequence[Passage],
    task: str | Template = "answer",
    templates: Path | None = None,
) -> PreparedTask:
    """The question with its passages, not asked yet. Raises `Misconfigured` for no passage at all."""
    if not passages:
        raise Misconfigured(
            "No passage of the documents has anything to do with the question.",
            remedy="Ask in words that stand in the documents, or name other documents.",
        )
    inputs = {"question": question, "passages": [passage.text for passage in passages]}
    digests = [passage.digest for passage in passages]
    return await client.prepare_task(model, task, inputs, documents=digests, templates=templates)


def cite(result: TaskResult, passages: Sequence[Passage]) -> DocumentAnswer:
    """The answer with the passages that it names."""
    citations, unknown = read_citations(result.text, passages)
    return DocumentAnswer(result, tuple(passages), tuple(citations), tuple(unknown))
