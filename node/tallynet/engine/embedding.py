"""Any Hugging Face model without a head as an engine: each generation is one vector, in one piece without tokens."""

import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import torch
import trio

from tallynet.engine.checkpoint import Checkpoint
from tallynet.engine.embedder import Embedder
from tallynet.engine.engine import (
    EngineInfo,
    EngineLoad,
    Finish,
    Generation,
    Piece,
    check_generation,
    check_prompt,
    check_wishes,
)
from tallynet.engine.hardware import Hardware, describe
from tallynet.engine.manifest import read_manifest
from tallynet.engine.plan import fit_context
from tallynet.engine.tokenizer import Tokenizer
from tallynet.engine.warmup import THREADS
from tallynet.engine.weights import context_length, vocabulary_size
from tallynet.protocol.embedding import encode_embedding
from tallynet.protocol.errors import Busy, InvalidJob, Misconfigured, Unreachable
from tallynet.protocol.job import Task
from tallynet.protocol.request import Request
from tallynet.protocol.units import TokenIds

log = logging.getLogger(__name__)

TRIAL = tuple(range(1, 17))
"""A prompt to try the model with."""

RETRY_MS = 1000
"""When to try again after the device ran out of memory."""

SMOOTHING = 0.1
"""Weight of the latest prompt in the moving average of the speed."""


class EmbeddingEngine:
    """Loads in the constructor, which blocks; serves while `run` runs, one prompt at a time."""

    def __init__(self, checkpoint: Checkpoint, hardware: Hardware, *, longest_context: int | None = None) -> None:
        """Raises `Misconfigured` when the directory is no safetensors model that transformers can run itself, or needs
        more memory than there is."""
        manifest = read_manifest(checkpoint.directory)
        self._tokenizer = Tokenizer(checkpoint.directory)
        limit = self._tokenizer.length_limit
        plan = fit_context(checkpoint.directory, hardware, 1, longest_context, limit)
        self._embedder = Embedder(checkpoint.directory, hardware)
        self._tokens_per_second = self._try_out()
        model = self._embedder.model
        self._info = EngineInfo.of(
            checkpoint.name,
            manifest,
            describe(hardware, model.config._attn_implementation, slots=1, threads=THREADS),
            context_length=context_length(model, limit, plan.context_length),
            vocabulary_size=vocabulary_size(model),
            slots=1,
            task=Task.EMBED,
            planned_bytes=plan.total,
        )
        self._slot = trio.Semaphore(1)
        self._running = False

    @property
    def info(self) -> EngineInfo:
        return self._info

    def load(self) -> EngineLoad:
        """The speed is that of reading prompts: there is nothing else to it."""
        return EngineLoad(1 - self._slot.value, self._slot.statistics().tasks_waiting, self._tokens_per_second)

    async def tokenize(self, request: Request) -> TokenIds:
        check_wishes(request, self._info)
        if request.messages:
            raise InvalidJob("this model embeds one text and takes no messages", remedy="Send a plain text instead.")
        tokens = await trio.to_thread.run_sync(self._tokenizer.encode, request)
        check_prompt(tokens, self._info)
        return tokens

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        self._running = True
        try:
            task_status.started()
            await trio.sleep_forever()
        finally:
            self._running = False

    @asynccontextmanager
    async def stream(self, generation: Generation) -> AsyncIterator[AsyncIterator[Piece]]:
        if not self._running:
            raise RuntimeError("the engine is not running")
        check_generation(generation, self._info)
        async with self._slot:
            yield _OnePiece(self, generation.prompt)

    async def _embed(self, prompt: TokenIds) -> Piece:
        if not self._running:
            raise Unreachable("the engine was stopped", remedy="Send the job again later, or to another node.")
        began = time.perf_counter()
        try:
            values = await trio.to_thread.run_sync(self._values, prompt)
            text = encode_embedding(values)
        except torch.OutOfMemoryError as error:
            raise Busy("the model ran out of memory", retry_after_ms=RETRY_MS) from error
        except (RuntimeError, ValueError, IndexError) as error:
            log.error("an embedding failed in the model runtime", exc_info=error)
            raise Unreachable(f"the model runtime failed: {type(error).__name__}") from error
        speed = len(prompt) / max(time.perf_counter() - began, 1e-6)
        self._tokens_per_second += SMOOTHING * (speed - self._tokens_per_second)
        return Piece((), text, (), Finish.EOS)

    def _values(self, prompt: TokenIds) -> list[float]:
        """With the threads that the environment tells of, whatever else runs in this process."""
        torch.set_num_threads(THREADS)
        return self._embedder.embed(prompt)

    def _try_out(self) -> float:
        """Embed once to see that it can be done; returns the speed of the second time, in tokens per second."""
        try:
            encode_embedding(self._embedder.embed(TRIAL))
        except Exception as error:  # foreign code; whatever it raises, the model is of no use here
            raise Misconfigured(f"{type(self._embedder.model).__name__} cannot embed: {error}") from error
        began = time.perf_counter()
        self._embedder.embed(TRIAL)
        return len(TRIAL) / max(time.perf_counter() - began, 1e-6)


class _OnePiece(AsyncIterator[Piece]):
    def __init__(self, engine: EmbeddingEngine, prompt: TokenIds) -> None:
        self._engine = engine
        self._prompt: TokenIds | None = prompt

    async def __anext__(self) -> Piece:
        if self._prompt is None:
            raise StopAsyncIteration
        prompt, self._prompt = self._prompt, None
        return await self._engine._embed(prompt)
