"""`tallynet answer`: questions to one's own documents."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from tallynet.client.client import AsyncClient
from tallynet.client.commands import open_client
from tallynet.client.display import plain, summary, write
from tallynet.client.documents.answering import PASSAGES, DocumentAnswer, answer_from, prepare_answer
from tallynet.client.documents.document import Document, read_documents
from tallynet.client.documents.passage import Passage
from tallynet.client.documents.retrieval import Retrieval, Tell, open_retrieval
from tallynet.client.options import ModelOption
from tallynet.client.task_options import TaskOptions, choose_model, read_text
from tallynet.client.task_telling import describe_result, show_progress, tell_prompt
from tallynet.client.tasks.preparing import PreparedTask
from tallynet.client.terms import AskOptions
from tallynet.console.folders import state_folder
from tallynet.console.option_group import takes
from tallynet.console.terminal import Terminal, command

EXCERPT = 60
"""Characters of a passage that are shown."""

QuestionArgument = Annotated[str, typer.Argument(help="The question; - reads it from stdin.", show_default=False)]
DocsOption = Annotated[
    Path, typer.Option("--docs", metavar="DIR", help="A folder or a file: .txt, .md, .rst, .html.", show_default=False)
]
PassagesOption = Annotated[int, typer.Option("--passages", min=1, max=64, help="How many the model is shown at most.")]
EmbedderOption = Annotated[
    str, typer.Option("--embedder", help="Model that finds passages. Default: one on offer, or else words (BM25).")
]
WordsOption = Annotated[bool, typer.Option("--by-words", help="Find passages by their words, and embed nothing.")]
IndexOption = Annotated[
    Path | None, typer.Option("--index", metavar="DIR", help="Where passages are kept.", show_default=False)
]


@takes(TaskOptions, without=("temperature", "audit_consent"))
def answer(
    question: QuestionArgument,
    docs: DocsOption,
    model: ModelOption = "",
    passages: PassagesOption = PASSAGES,
    embedder: EmbedderOption = "",
    by_words: WordsOption = False,
    index: IndexOption = None,
    *,
    options: TaskOptions,
) -> None:
    """Answer a question from your own documents, and say from which passages.

    Passages are found by a model of the network that makes vectors, each paid once, or by their words. The digests of
    those that the model is shown are signed with the question. That a passage is named does not mean that it says so.

    Example: tallynet answer --docs docs "Who may close an account?"
    """
    with command(as_json=options.as_json, debug=options.debug) as terminal:
        words, documents = read_text(question), read_documents(docs)
        asked = options.read()
        with open_client(options.network, keep=not options.no_keep) as client:
            asking = _Asking(
                choose_model(client, model), words, documents, index or _folder(docs), embedder or None, by_words,
                passages, options.templates, asked,
            )  # fmt: skip
            with show_progress("Finding passages", terminal) as tell:
                work = asking.prepare if options.show else asking.ask
                made = client.call(lambda opened: work(opened, tell))
            if isinstance(made, PreparedTask):
                tell_prompt(made, terminal)
                return
            tell_answer(made, terminal)
            evidence = options.proof.keep(client, made.result.answer, terminal)
        terminal.result(describe_document_answer(made, evidence=evidence, saved=options.save))


def tell_answer(made: DocumentAnswer, terminal: Terminal) -> None:
    """The answer on stdout; under it what it names, or else what it was shown."""
    write(terminal.out, made.text.strip() + "\n")
    cited = [(citation.number, citation.passage) for citation in made.citations]
    for number, passage in cited or enumerate(made.passages, start=1):
        terminal.notes.print(_line(number, passage), no_wrap=True, overflow="ellipsis")
    if not cited:
        terminal.notes.print(Text("The answer names none of these passages, which it was made from.", style="yellow"))
    if made.unknown:
        numbers = ", ".join(map(str, made.unknown))
        terminal.notes.print(Text(f"It names passages that there are not: {numbers}.", style="yellow"))
    terminal.notes.print(summary(made.result.answer))


def describe_document_answer(made: DocumentAnswer, *, evidence: str, saved: Path | None) -> dict[str, object]:
    """The JSON object: as that of `tallynet run`, with all passages and the numbers of those that are named."""
    return {
        **describe_result(made.result, evidence=evidence, saved=saved),
        "passages": [
            {"number": number, "source": passage.source, "passage": passage.number, "digest": passage.digest.hex(),
             "text": passage.text}
            for number, passage in enumerate(made.passages, start=1)
        ],
        "citations": [citation.number for citation in made.citations],
        "unknown": list(made.unknown),
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Asking:
    """One question to some documents."""

    model: str
    question: str
    documents: list[Document]
    folder: Path
    embedder: str | None
    by_words: bool
    count: int
    templates: Path | None
    options: AskOptions

    async def ask(self, client: AsyncClient, tell: Tell) -> DocumentAnswer | PreparedTask:
        async with self._retrieval(client, tell) as retrieval:
            return await answer_from(
                client, self.model, self.question, retrieval, count=self.count, templates=self.templates, **self.options
            )

    async def prepare(self, client: AsyncClient, tell: Tell) -> DocumentAnswer | PreparedTask:
        async with self._retrieval(client, tell) as retrieval:
            passages = [found.passage for found in await retrieval.find(self.question, self.count)]
            return await prepare_answer(client, self.model, self.question, passages, templates=self.templates)

    @asynccontextmanager
    async def _retrieval(self, client: AsyncClient, tell: Tell) -> AsyncIterator[Retrieval]:
        async with open_retrieval(client, self.folder, self.embedder, by_words=self.by_words) as retrieval:
            await retrieval.update(self.documents, tell)
            yield retrieval


def _folder(docs: Path) -> Path:
    """Where the passages of a folder are kept: the same for the same folder."""
    name = hashlib.sha256(str(docs.resolve()).encode()).hexdigest()[:16]
    return state_folder() / "documents" / name


def _line(number: int, passage: Passage) -> Text:
    words = plain(" ".join(passage.text.split()))
    excerpt = words if len(words) <= EXCERPT else words[: EXCERPT - 1] + "…"
    return Text(f"[{number}] {plain(passage.label)} {passage.digest.hex()[:8]}…: {excerpt}", style="dim")
