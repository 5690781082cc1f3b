"""Any Hugging Face causal or encoder-decoder model as an engine: seeded, streamed, many generations at once."""

import logging
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import torch
import trio
from transformers import PreTrainedModel

from tallynet.engine.answer import Answer
from tallynet.engine.batch import Batch, SlotBatch
from tallynet.engine.checkpoint import Checkpoint
from tallynet.engine.delivery import Delivery, hand_over
from tallynet.engine.engine import (
    BIAS,
    SCHEMA,
    TOOLS,
    EngineInfo,
    EngineLoad,
    Generation,
    Piece,
    Tell,
    check_generation,
    check_prompt,
    check_wishes,
)
from tallynet.engine.grammar import Grammars, Guide
from tallynet.engine.hardware import Hardware, describe
from tallynet.engine.manifest import read_manifest
from tallynet.engine.plan import Plan, fit_context
from tallynet.engine.recital import Recital
from tallynet.engine.rules import rules_of
from tallynet.engine.ticket import Ticket
from tallynet.engine.tokenizer import Tokenizer
from tallynet.engine.warmup import try_out
from tallynet.engine.weights import context_length, end_tokens, load_weights, vocabulary_size
from tallynet.engine.worker import Worker
from tallynet.protocol.errors import Unreachable
from tallynet.protocol.request import Request
from tallynet.protocol.units import TokenIds

log = logging.getLogger(__name__)

SWITCH_SECONDS = 0.0005
"""How long one Python thread may keep the interpreter lock from another that wants it. With Python's usual 5 ms a
busy trio loop makes every decoding step wait several times."""

SHORT_REQUEST = 2048
"""Characters."""


class TransformersEngine:
    """Loads in the constructor, which blocks for seconds to minutes; serves while `run` runs."""

    def __init__(
        self, checkpoint: Checkpoint, hardware: Hardware, *, slots: int, longest_context: int | None = None
    ) -> None:
        """Raises `Misconfigured` when the directory is no safetensors model that transformers can run itself.

        `slots` is the most generations at once; models whose cache cannot be shared have one. `longest_context`
        lowers the model's own context length, in tokens, to save memory.
        """
        manifest = read_manifest(checkpoint.directory)
        self._tokenizer = Tokenizer(checkpoint.directory)
        longest = self._tokenizer.length_limit
        plan = fit_context(checkpoint.directory, hardware, slots, longest_context, longest)
        self._model = load_weights(checkpoint.directory, hardware)
        context = context_length(self._model, longest, plan.context_length)
        self._trial = try_out(self._model, slots, context)
        _log_memory(plan, self._model, self._trial.batch)
        self._ends = end_tokens(self._model, self._tokenizer.end)
        self._grammars = Grammars(self._tokenizer, vocabulary_size(self._model), self._ends)
        self._info = EngineInfo.of(
            checkpoint.name,
            manifest,
            describe(
                hardware,
                self._model.config._attn_implementation,
                slots=self._trial.batch.slots,
                threads=self._trial.threads,
            ),
            context_length=context,
            vocabulary_size=vocabulary_size(self._model),
            slots=self._trial.batch.slots,
            scores=self._trial.batch.reader is not None,
            planned_bytes=plan.total,
            wishes=self._wishes(),
        )
        self._tokenizing = trio.CapacityLimiter(1)
        self._worker: Worker | None = None
        self._open: set[Ticket] = set()
        self._tell: Tell | None = None

    @property
    def info(self) -> EngineInfo:
        return self._info

    def load(self) -> EngineLoad:
        tickets = tuple(self._open)  # the worker's thread asks too
        running = sum(ticket.running for ticket in tickets)
        waiting = sum(not ticket.running and not ticket.admitted.is_set() for ticket in tickets)
        worker = self._worker
        seconds = self._trial.step_seconds if worker is None else worker.step_seconds
        return EngineLoad(running, waiting, 1 / seconds)

    async def tokenize(self, request: Request) -> TokenIds:
        check_wishes(request, self._info)
        tokens = await self._encode(request)
        check_prompt(tokens, self._info)
        await self._guide(request.schema)
        return tokens

    async def _guide(self, schema: str) -> Guide | None:
        """None for no schema. Raises `InvalidJob` for one that cannot be kept to."""
        if not schema:
            return None
        return await trio.to_thread.run_sync(self._grammars.guide, schema, limiter=self._tokenizing)

    async def _encode(self, request: Request) -> TokenIds:
        """A short request costs less than the thread it would take; long ones take turns in one."""
        length = len(request.text) + len(request.tools) + sum(len(message.content) for message in request.messages)
        if length <= SHORT_REQUEST:
            await trio.lowlevel.checkpoint()
            return self._tokenizer.encode(request)
        return await trio.to_thread.run_sync(self._tokenizer.encode, request, limiter=self._tokenizing)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        delivery = Delivery(trio.lowlevel.current_trio_token(), self._tell)
        worker = Worker(self._trial.batch, self._trial.step_seconds, delivery)
        try:
            async with trio.open_nursery() as nursery:
                work = partial(self._work, worker)
                nursery.start_soon(partial(trio.to_thread.run_sync, work, limiter=trio.CapacityLimiter(1)))
                try:
                    self._worker = worker
                    task_status.started()
                    await trio.sleep_forever()
                finally:
                    worker.stop()
        finally:
            self._worker = None
            hand_over([(ticket, _stopped()) for ticket in self._open])

    def tell_through(self, tell: Tell) -> None:
        self._tell = tell

    @asynccontextmanager
    async def stream(self, generation: Generation, number: int | None = None) -> AsyncIterator[AsyncIterator[Piece]]:
        worker = self._worker
        if worker is None:
            raise RuntimeError("the engine is not running")
        if number is not None and self._tell is None:
            raise RuntimeError("a generation with a number is told, and nobody listens: `tell_through` comes first")
        ticket = self._ticket(generation, await self._guide(generation.schema), number)
        self._open.add(ticket)
        worker.submit(ticket)
        try:
            await ticket.admitted.wait()
            yield ticket
        finally:
            self._open.remove(ticket)
            ticket.leave()

    def _wishes(self) -> tuple[str, ...]:
        able = {SCHEMA: self._grammars.possible, BIAS: True, TOOLS: self._tokenizer.takes_tools}
        return tuple(name for name, can in able.items() if can)

    def _ticket(self, generation: Generation, guide: Guide | None, number: int | None) -> Ticket:
        limit = check_generation(generation, self._info)
        answer = Answer(
            limit=limit,
            stops=generation.sampling.stop,
            ends=self._ends,
            decode=self._tokenizer.decode,
            clock=time.monotonic,
        )
        recital = Recital(generation.prompt, generation.scored, self._tokenizer.decode) if generation.scored else None
        return Ticket(generation, answer, limit, recital, rules_of(generation.logit_bias, guide), number)

    def _work(self, worker: Worker) -> None:
        """The worker's thread."""
        sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH_SECONDS))
        torch.set_num_threads(self._trial.threads)
        with torch.inference_mode():
            worker.work()


def _log_memory(plan: Plan, model: PreTrainedModel, batch: Batch) -> None:
    """What was predicted, and what is there now."""
    weights = sum(parameter.nbytes for parameter in model.parameters())
    kv = batch.cache_bytes if isinstance(batch, SlotBatch) else 0
    log.info(
        "memory: %d slots of %d tokens; weights %.1f MB planned, %.1f MB there; keys and values %.1f MB planned, %.1f"
        " MB there; at most %.1f MB in all",
        batch.slots, plan.context_length, plan.weights / 1e6, weights / 1e6, plan.kv / 1e6, kv / 1e6, plan.total / 1e6,
    )  # fmt: skip


def _stopped() -> Unreachable:
    return Unreachable("the engine was stopped", remedy="Send the job again later, or to another node.")
