"""The client library: ask a model of the network, and hold whoever answers to it.

    async with AsyncClient() as client:
        answer = await client.ask("tally-tiny", "What is the capital of Japan?")

`AsyncClient` is for trio (and anyio on trio); `blocking.Client` is the same for everybody else.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self, Unpack

from tallynet.client.anchor_wait import AnchorWait
from tallynet.client.answer import Answer
from tallynet.client.answer_stream import AnswerStream
from tallynet.client.batch import AT_ONCE, Outcome, Tell, ask_all, ask_each
from tallynet.client.directory import read_model_id
from tallynet.client.dispatch import TellNode, tell_nobody
from tallynet.client.embedding import Embedding, EmbedOptions, embedding_terms, read_answer
from tallynet.client.keeping import Keeper
from tallynet.client.market import ModelOnOffer, gather
from tallynet.client.order import Order, Prompt, Turns, read_prompt
from tallynet.client.placing import dispatch_new, dispatch_signed, place_new
from tallynet.client.score import TOP, Score, ScoreOptions, read_score, score_request, score_terms
from tallynet.client.session import Session, wall_clock
from tallynet.client.tasks.preparing import Inputs, PreparedTask, TaskOptions, prepare_task
from tallynet.client.tasks.result import TaskResult, read_result
from tallynet.client.terms import AskOptions, Terms, read_terms
from tallynet.console.network_file import NetworkFile
from tallynet.ledger.ledger import Ledger
from tallynet.network.transport import Transport
from tallynet.protocol.advert import VerifiedAdvert
from tallynet.protocol.bundle import Bundle
from tallynet.protocol.job import Task
from tallynet.protocol.keys import Key
from tallynet.protocol.request import Request
from tallynet.protocol.units import Address, Digest, Milliseconds, ModelId, TokenIds
from tallynet.templates.template import Example, Template


class AsyncClient:
    """One user of the network; running between `async with`. Any number of tasks may ask at the same time."""

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
        """`network` is a network file or where it lies; by default the user's own. Raises `Misconfigured`.

        `key` signs the jobs; by default it is the user's own, made on first use. `transport` is run by the client
        and must not be running yet; by default it is a libp2p host that only dials, under a throwaway identity.
        `ledger` by default is the network's contract, connected to only when it is needed. `clock` tells the time
        of day. `keep` is the folder for the receipts of all runs, True for the user's own, False to keep none.
        """
        self._session = Session(network, key, transport, ledger, clock)
        self._keeper = Keeper(keep)

    @property
    def network(self) -> NetworkFile:
        return self._session.network

    async def models(self, task: Task | None = None) -> list[ModelOnOffer]:
        """What is on offer, the most served first; perhaps only what does `task`, which none may do.

        Raises `NoNodes`, when nobody offers anything.
        """
        found = gather(await self.nodes())
        if task is not None and not any(model.task == task for model in found):
            await self._session.directory.hear_out()
            found = gather(await self.nodes())
        return [model for model in found if task in (None, model.task)]

    async def model(self, model: str) -> ModelOnOffer:
        """What is on offer under a name or an id. Raises `NoNodes`, and `Misconfigured` for an ambiguous name."""
        candidates = await self._session.directory.find(model)
        wanted = candidates[0].offer.model
        return next(offer for offer in gather(candidate.advert for candidate in candidates) if offer.model == wanted)

    async def nodes(self) -> Sequence[VerifiedAdvert]:
        """The adverts in force. Raises `NoNodes`."""
        adverts = await self._session.directory.adverts()
        return sorted(adverts, key=lambda known: known.node)

    async def operators(self) -> Mapping[Address, Address]:
        """Who owns the stake of each registered node. Raises `ChainUnreachable`."""
        return {entry.node: entry.operator for entry in await self._session.registry()}

    async def ask(self, model: str, prompt: Prompt, **options: Unpack[AskOptions]) -> Answer:
        """Ask a model, a name or a 0x id, and wait for the whole answer, every part of it verified.

        Raises `NoNodes`, `Busy`, `Refused`, `NodeUnreachable` (also when the deadline passes), `InvalidJob` for
        what cannot be asked, `Misconfigured` for an ambiguous name, and `InvalidFrame`, `InvalidChunk` or
        `InvalidReceipt`, with the evidence, when the node cheats. Cancelling cancels the job.
        """
        async with self.stream(model, prompt, **options) as stream:
            return await stream.finish()

    async def chat(self, model: str, messages: Turns, **options: Unpack[AskOptions]) -> Answer:
        """Answer a dialogue of `{"role": …, "content": …}`, through the model's chat template. As `ask`."""
        return await self.ask(model, messages, **options)

    async def generate(self, model: str, text: str, **options: Unpack[AskOptions]) -> Answer:
        """Go on with a text as it is, without a chat template. As `ask`."""
        return await self.ask(model, Request(text=text), **options)

    def stream(self, model: str, prompt: Prompt, **options: Unpack[AskOptions]) -> AnswerStream:
        """As `ask`, in pieces: see `AnswerStream`. What `ask` raises, entering it and reading it raise."""
        terms = read_terms(**options)
        return self._stream(model, read_prompt(prompt, terms.wishes), terms)

    def stream_ways(self, model: str, ways: Sequence[tuple[Request, AskOptions]]) -> AnswerStream:
        """As `stream`, for a model of which it is not known whether it takes messages: the next way is asked when it
        refuses those of the one before. Raises ValueError for no way at all."""
        first, *others = ((read_prompt(request), read_terms(**options)) for request, options in ways)
        begins = [partial(dispatch_new, self._session, model, request, terms) for request, terms in (first, *others)]
        return AnswerStream(begins[0], first[1].seconds, self._keeper.keep, otherwise=begins[1:])

    async def name_of(self, model: str) -> str:
        """What nodes call a model that is given by its id; a name is returned as it is. Raises `NoNodes`."""
        if read_model_id(model) is None:
            return model
        return (await self.model(model)).name

    async def prepare_task(
        self, model: str, task: str | Template, inputs: Inputs, **options: Unpack[TaskOptions]
    ) -> PreparedTask:
        """The words of a task, for this model, not asked yet. `task` is a template or its name, as `translate@1`.

        Raises `Misconfigured` for a template, input or example that does not fit, and `NoNodes` for a model's id that
        nobody offers.
        """
        return prepare_task(task, model, await self.name_of(model), inputs, **options)

    def stream_task(self, task: PreparedTask, **options: Unpack[AskOptions]) -> AnswerStream:
        """As `stream`, for a task; the longest answer is the template's `max_tokens` unless it is given."""
        return self.stream_ways(task.model, task.ask(options))

    async def run_task(
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
        """Ask in the words of a template: `run_task("tally-tiny", "translate", {"text": "cat", "to": "fr"})`.

        `examples`, `documents` and `templates` are those of `TaskOptions`. Raises what `prepare_task` and `ask` raise,
        and `UnfitAnswer`, which holds the answer, when it is not what the task asks for.
        """
        prepared = await self.prepare_task(
            model, task, inputs, examples=examples, documents=documents, templates=templates
        )
        async with self.stream_task(prepared, **options) as stream:
            return read_result(prepared, await stream.finish())

    async def order(
        self, model: str, prompt: Prompt, *, nonce: Digest | None = None, **options: Unpack[AskOptions]
    ) -> Order:
        """A signed job that is sent nowhere yet: keep it, `send` it, and after a crash send the same one again.

        Raises `NoNodes` when nobody offers the model, `InvalidJob`, `Misconfigured`.
        """
        request, terms = read_prompt(prompt), read_terms(**options)
        return (await place_new(self._session, model, request, terms, nonce))[0]

    def send(self, order: Order, *, node: Address | None = None, tell: TellNode = tell_nobody) -> AnswerStream:
        """As `stream`, for a job that is signed already; to a `node` that knows it, it is the same run.

        `tell` is awaited with the address of each node before the job is handed to it.
        """
        seconds = (order.job.job.deadline - self.now()) / 1000 + 1
        return AnswerStream(partial(dispatch_signed, self._session, order, node, tell), seconds, self._keeper.keep)

    async def address(self) -> Address:
        """Whose name stands under the jobs."""
        return (await self._session.signer()).address

    def now(self) -> Milliseconds:
        """The time of day by the client's clock."""
        return self._session.clock()

    async def model_id(self, model: str) -> ModelId:
        """The id of the model that a name stands for. Raises `NoNodes`, and `Misconfigured` for several."""
        return read_model_id(model) or (await self._session.directory.find(model))[0].offer.model

    async def embed(self, model: str, texts: str | Sequence[str], **options: Unpack[EmbedOptions]) -> list[Embedding]:
        """The vector of each text, in their order, every one with its receipt. Raises what `ask` raises.

        Each text is a job of its own; some are under way at the same time. An error ends all of them.
        """

        async def embed_one(text: str) -> Embedding:
            async with self.embedding_stream(model, text, **options) as stream:
                return read_answer(await stream.finish())

        return await ask_all(embed_one, [texts] if isinstance(texts, str) else texts)

    def embedding_stream(self, model: str, text: str, **options: Unpack[EmbedOptions]) -> AnswerStream:
        """The job behind one vector: `read_answer` makes one of its answer. Raises what `stream` raises."""
        return self._stream(model, read_prompt(Request(text=text)), embedding_terms(**options))

    async def score(
        self, model: str, text: str | TokenIds, *, top: int = TOP, **options: Unpack[ScoreOptions]
    ) -> Score:
        """How likely the model finds each token of a text, or of a text's token ids, after all before it.

        `top` is how many of the likeliest tokens are told for each place, 0 to 5. Raises what `ask` raises. The first
        token has nothing before it, unless the model's tokenizer puts a token of its own before every text.
        """
        async with self.score_stream(model, score_request(text, top), **options) as stream:
            return read_score(await stream.finish())

    def score_stream(self, model: str, request: Request, **options: Unpack[ScoreOptions]) -> AnswerStream:
        """The job behind a score: `read_score` makes one of its answer. Raises what `stream` raises."""
        return self._stream(model, request, score_terms(**options))

    async def ask_many(
        self,
        model: str,
        prompts: Sequence[Prompt],
        *,
        at_once: int = AT_ONCE,
        tell: Tell = lambda done: None,
        **options: Unpack[AskOptions],
    ) -> list[Outcome]:
        """Ask many questions, `at_once` at a time; the answers, or in their place the errors, in the same order.

        `tell` hears how many are done. Raises ValueError for less than one at a time, and nothing that `ask` raises.
        """
        return await ask_each(lambda prompt: self.ask(model, prompt, **options), prompts, at_once, tell)

    async def wait_for_anchor(self, bundle: Bundle, seconds: float) -> Bundle:
        """The bundle with its inclusion under a confirmed anchor, looked for until `seconds` are over.

        Raises `Pending` when it is not there yet, `InvalidBundle` when the promised time has passed, `InvalidProof`
        and `InvalidCheckpoint` when the node's path or signature does not hold, and `ChainUnreachable`, `NoNodes`,
        `NodeUnreachable`.
        """
        anchored = await AnchorWait(await self._session.chain(), self._session.find_log).upgrade(bundle, seconds)
        await self._keeper.keep(anchored.closed())
        return anchored

    async def __aenter__(self) -> Self:
        await self._session.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.__aexit__(kind, error, trace)

    def _stream(self, model: str, request: Request, terms: Terms) -> AnswerStream:
        return AnswerStream(
            partial(dispatch_new, self._session, model, request, terms), terms.seconds, self._keeper.keep
        )
