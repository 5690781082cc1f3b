"""The client for everybody: ordinary programs, notebooks, asyncio programs, several threads at once.

    with Client() as client:
        print(client.ask("tally-tiny", "What is the capital of Japan?").text)

It runs an `AsyncClient` in a private loop. Calls block the calling thread; Ctrl-C cancels what that thread waits for.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar, Unpack

from tallynet.client.answer import Answer
from tallynet.client.answer_stream import AnswerStream
from tallynet.client.batch import AT_ONCE, Outcome, progress_bar
from tallynet.client.client import AsyncClient
from tallynet.client.dialogue import Dialogue
from tallynet.client.embedding import Embedding, EmbedOptions
from tallynet.client.flow.anchors import anchor_flow
from tallynet.client.flow.runner import FinishedFlow, FlowOptions, run_flow
from tallynet.client.market import ModelOnOffer
from tallynet.client.order import Order, Prompt, Turns
from tallynet.client.portal import Portal, Submitted
from tallynet.client.score import TOP, Score, ScoreOptions
from tallynet.client.session import wall_clock
from tallynet.client.tasks.preparing import Inputs, PreparedTask, TaskOptions
from tallynet.client.tasks.result import TaskResult
from tallynet.client.terms import AskOptions
from tallynet.console.network_file import NetworkFile
from tallynet.ledger.ledger import Ledger
from tallynet.network.transport import Transport
from tallynet.protocol.advert import VerifiedAdvert
from tallynet.protocol.bundle import Bundle
from tallynet.protocol.chunk import ChunkBody
from tallynet.protocol.flow import Flow
from tallynet.protocol.flow_file import FlowFile
from tallynet.protocol.flow_template import Value
from tallynet.protocol.job import Task
from tallynet.protocol.keys import Key
from tallynet.protocol.units import Digest, Milliseconds, TokenIds
from tallynet.templates.template import Example, Template

if TYPE_CHECKING:
    from tallynet.client.evaluate.run import EvaluateOptions
    from tallynet.evaluation.report import Report
    from tallynet.evaluation.suite import Suite

R = TypeVar("R")


class Client:
    """`AsyncClient` without async. Opened by its first call, closed by `close`, by `with`, or when the program ends."""

    def __init__(
        self,
        network: NetworkFile | Path | str | None = None,
        *,
        key: Key | None = None,
        transport: Transport | None = None,
        ledger: Ledger | None = None,
        clock: Callable[[], Milliseconds] = wall_clock,
        keep: Path | bool = True,
    ) -> None:
        """As `AsyncClient`. `transport` and `ledger` are used in the client's own loop and must not be in use in
        another. Raises `Misconfigured` for a network file that cannot be read."""
        client = AsyncClient(network, key=key, transport=transport, ledger=ledger, clock=clock, keep=keep)
        self.network = client.network
        self._portal = Portal(client, "client")

    def models(self, task: Task | None = None) -> list[ModelOnOffer]:
        """See `AsyncClient.models`."""
        return self._portal.call(lambda client: client.models(task))

    def model(self, model: str) -> ModelOnOffer:
        """See `AsyncClient.model`."""
        return self._portal.call(lambda client: client.model(model))

    def nodes(self) -> Sequence[VerifiedAdvert]:
        """See `AsyncClient.nodes`."""
        return self._portal.call(lambda client: client.nodes())

    def ask(self, model: str, prompt: Prompt, **options: Unpack[AskOptions]) -> Answer:
        """See `AsyncClient.ask`, and `AskOptions` for the options."""
        return self._portal.call(lambda client: client.ask(model, prompt, **options))

    def chat(self, model: str, messages: Turns, **options: Unpack[AskOptions]) -> Answer:
        """See `AsyncClient.chat`."""
        return self._portal.call(lambda client: client.chat(model, messages, **options))

    def generate(self, model: str, text: str, **options: Unpack[AskOptions]) -> Answer:
        """See `AsyncClient.generate`."""
        return self._portal.call(lambda client: client.generate(model, text, **options))

    def stream(self, model: str, prompt: Prompt, **options: Unpack[AskOptions]) -> "BlockingStream":
        """See `AsyncClient.stream`."""
        return self.open_stream(lambda client: client.stream(model, prompt, **options))

    def prepare_task(
        self, model: str, task: str | Template, inputs: Inputs, **options: Unpack[TaskOptions]
    ) -> PreparedTask:
        """See `AsyncClient.prepare_task`."""
        return self._portal.call(lambda client: client.prepare_task(model, task, inputs, **options))

    def stream_task(self, task: PreparedTask, **options: Unpack[AskOptions]) -> "BlockingStream":
        """See `AsyncClient.stream_task`."""
        return self.open_stream(lambda client: client.stream_task(task, **options))

    def run_task(
        self,
        model: str,
        task: str | Template,
        inputs: Inputs,
        *,
        examples: Sequence[Example] = (),
        documents: Sequence[Digest] = (),
        templates: Path | None = None,
        **options: Unpack[AskOptions],
    ) -> TaskResult:
        """See `AsyncClient.run_task`."""
        return self._portal.call(
            lambda client: client.run_task(
                model, task, inputs, examples=examples, documents=documents, templates=templates, **options
            )
        )

    def embed(self, model: str, texts: str | Sequence[str], **options: Unpack[EmbedOptions]) -> list[Embedding]:
        """See `AsyncClient.embed`."""
        return self._portal.call(lambda client: client.embed(model, texts, **options))

    def score(self, model: str, text: str | TokenIds, *, top: int = TOP, **options: Unpack[ScoreOptions]) -> Score:
        """See `AsyncClient.score`."""
        return self._portal.call(lambda client: client.score(model, text, top=top, **options))

    def ask_many(
        self,
        model: str,
        prompts: Sequence[Prompt],
        *,
        at_once: int = AT_ONCE,
        progress: bool = False,
        **options: Unpack[AskOptions],
    ) -> list[Outcome]:
        """See `AsyncClient.ask_many`; `progress` shows a bar on stderr."""
        with progress_bar(len(prompts), shown=progress) as tell:
            return self._portal.call(
                lambda client: client.ask_many(model, prompts, at_once=at_once, tell=tell, **options)
            )

    def run_flow(
        self,
        flow: Flow,
        inputs: Mapping[str, Value],
        *,
        state: Path | str,
        **options: Unpack[FlowOptions],
    ) -> FinishedFlow:
        """See `flow.run_flow`; `tell` is called in the client's own thread."""
        return self._portal.call(lambda client: run_flow(client, flow, inputs, state=state, **options))

    def anchor_flow(self, file: FlowFile, seconds: float) -> FlowFile:
        """See `flow.anchors.anchor_flow`."""
        return self._portal.call(lambda client: anchor_flow(client, file, seconds))

    def evaluate(
        self, model: str, suite: "Suite | Path | str", *, progress: bool = False, **options: Unpack["EvaluateOptions"]
    ) -> "Report":
        """See `evaluate.run.evaluate`; `suite` may be the name of one that ships, or a folder. Raises `Misconfigured`
        for none. `progress` shows a bar on stderr."""
        from tallynet.client.evaluate.run import evaluate  # slow to import, needed only here
        from tallynet.client.evaluate.suite_file import open_suite
        from tallynet.evaluation.questions import list_questions

        asked = open_suite(str(suite)) if isinstance(suite, Path | str) else suite
        with progress_bar(len(list_questions(asked, options.get("limit", 0))), shown=progress) as tell:
            return self._portal.call(lambda client: evaluate(client, model, asked, tell=tell, **options))

    def anchor_report(self, report: "Report", seconds: float) -> "Report":
        """See `evaluate.run.anchor_report`."""
        from tallynet.client.evaluate.run import anchor_report

        return self._portal.call(lambda client: anchor_report(client, report, seconds))

    def dialogue(self, model: str, system: str = "", **options: Unpack[AskOptions]) -> Dialogue:
        """A dialogue with a model, each question on the record of the answer before: see `Dialogue`."""
        return Dialogue(lambda turns, terms: self.stream(model, turns, **terms), system, options)

    def call(self, work: Callable[[AsyncClient], Awaitable[R]]) -> R:
        """Run a function of the asynchronous client in the client's own loop, and wait for it: for everything that has
        no method here. Raises what it raises; Ctrl-C cancels it."""
        return self._portal.call(work)

    def submit(self, work: Callable[[AsyncClient], Awaitable[R]]) -> Submitted[R]:
        """As `call`, without waiting."""
        return self._portal.submit(work)

    def open_stream(self, begin: Callable[[AsyncClient], AnswerStream]) -> "BlockingStream":
        """The stream that a function of the asynchronous client makes, without async."""

        async def opened(client: AsyncClient) -> AnswerStream:
            return begin(client)

        return BlockingStream(self._portal, self._portal.call(opened))

    def wait_for_anchor(self, bundle: Bundle, seconds: float) -> Bundle:
        """See `AsyncClient.wait_for_anchor`."""
        return self._portal.call(lambda client: client.wait_for_anchor(bundle, seconds))

    def close(self) -> None:
        """Cancel what is running and leave the network. Idempotent."""
        self._portal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class BlockingStream:
    """`AnswerStream` without async: a context manager and iterator of verified pieces of text. For one thread."""

    def __init__(self, portal: Portal[AsyncClient], stream: AnswerStream) -> None:
        self._portal = portal
        self._stream = stream

    @property
    def order(self) -> Order:
        """See `AnswerStream.order`."""
        return self._stream.order

    @property
    def answer(self) -> Answer:
        """See `AnswerStream.answer`."""
        return self._stream.answer

    @property
    def finished(self) -> bool:
        return self._stream.finished

    @property
    def chunks(self) -> Sequence[ChunkBody]:
        return self._stream.chunks

    @property
    def text(self) -> str:
        return self._stream.text

    def __enter__(self) -> Self:
        self._portal.call(lambda _: self._stream.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._portal.call(lambda _: self._stream.leave())

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        """The next piece of text, never empty."""
        piece = self._portal.call(lambda _: self._stream.next_text())
        if piece is None:
            raise StopIteration
        return piece
