"""A model behind another server as an engine: the server generates, the node streams, counts and signs."""

import hashlib
import json
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from tallynet.engine.engine import (
    EngineInfo,
    EngineLoad,
    Generation,
    Piece,
    check_generation,
    check_prompt,
    check_wishes,
)
from tallynet.engine.upstream.abilities import Abilities, find_abilities
from tallynet.engine.upstream.events import Part, malformed
from tallynet.engine.upstream.questions import CHAT, COMPLETION, ask, prompt_of_tokens
from tallynet.engine.upstream.reply import Reply
from tallynet.engine.upstream.server import SILENCE_SECONDS, Address, Caller, Line
from tallynet.engine.upstream.stand_ins import VOCABULARY_SIZE, encode_request
from tallynet.protocol.errors import Busy, InvalidJob, Unreachable
from tallynet.protocol.manifest import Manifest, ManifestFile
from tallynet.protocol.request import NO_MESSAGES, Request
from tallynet.protocol.units import Digest, TokenIds

log = logging.getLogger(__name__)

EVIDENCE = "signature-only"

NAME_FILE = "upstream-model-name"
"""The one entry of the manifest: a file that holds the model's name and nothing else."""

USUAL_CONTEXT = 8192
"""Where neither server nor operator tells the context length, in tokens or stand-ins."""

SMOOTHING = 0.1
"""Weight of the latest answer in the moving average of the speed."""

RETRY_MS = 1000


class UpstreamEngine:
    """Tries the server out in the constructor, which blocks for some seconds; serves while `run` runs."""

    def __init__(
        self,
        address: Address,
        *,
        slots: int,
        context_length: int | None = None,
        silence_seconds: float = SILENCE_SECONDS,
    ) -> None:
        """Raises `Misconfigured` when the server does not serve the model, `Unreachable` when it does not answer.

        `slots` is the most requests to the server at once; `silence_seconds` how long it may send nothing.
        """
        self._address = address
        self._silence_seconds = silence_seconds
        self._abilities = _try_out(address, silence_seconds)
        told = self._abilities.context_length or USUAL_CONTEXT
        self._info = EngineInfo.of(
            address.model,
            name_manifest(address.model),
            _describe(self._abilities),
            context_length=min(told, context_length or told),
            vocabulary_size=VOCABULARY_SIZE,
            slots=slots,
            evidence=EVIDENCE,
            unheeded=self._abilities.unheeded,
        )
        self._tokens_per_second = self._abilities.tokens_per_second
        self._slots = trio.Semaphore(slots)
        self._line: Line | None = None

    @property
    def info(self) -> EngineInfo:
        return self._info

    def load(self) -> EngineLoad:
        waiting = self._slots.statistics().tasks_waiting
        return EngineLoad(self._info.slots - self._slots.value, waiting, self._tokens_per_second)

    async def tokenize(self, request: Request) -> TokenIds:
        """The server's own ids where it tells them, else stand-ins.

        Raises `Busy` or `Unreachable` when the server cannot be asked now, besides what every engine raises.
        """
        check_wishes(request, self._info)
        if self._line is None:
            raise Busy("the engine is being started", retry_after_ms=RETRY_MS)
        if request.tokens:
            tokens = self._own_ids(request.tokens)
        elif self._abilities.tokenizing is not None:
            tokens = await self._line.converse(self._abilities.tokenizing.steps(self._address, request))
        else:
            self._check_path(CHAT if request.messages else COMPLETION)
            await trio.lowlevel.checkpoint()
            tokens = encode_request(request)
        check_prompt(tokens, self._info)
        return tokens

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        async with Line.open(self._address, self._silence_seconds) as line:
            self._line = line
            try:
                task_status.started()
                await trio.sleep_forever()
            finally:
                self._line = None

    @asynccontextmanager
    async def stream(self, generation: Generation) -> AsyncIterator[AsyncIterator[Piece]]:
        """Entering also waits until the server begins to answer, and raises what `server.Line.stream` raises."""
        line = self._line
        if line is None:
            raise RuntimeError("the engine is not running")
        limit = check_generation(generation, self._info)
        prompt = prompt_of_tokens(generation.prompt, stand_ins=self._abilities.tokenizing is None)
        question = ask(self._address.model, prompt, generation.sampling, limit, generation.seed, self._abilities.extras)
        async with self._slots, line.stream(question) as parts:
            reply = Reply(limit=limit, stops=generation.sampling.stop, clock=time.monotonic)
            yield _Pieces(self, parts, reply)

    def _own_ids(self, tokens: TokenIds) -> TokenIds:
        if self._abilities.tokenizing is None:
            raise InvalidJob("this model takes no token ids", remedy="Send a plain text instead.")
        self._check_path(COMPLETION)
        return tokens

    def _check_path(self, path: str) -> None:
        if path in self._abilities.paths:
            return
        if path == CHAT:
            raise InvalidJob(NO_MESSAGES, remedy="Send a plain text instead.")
        raise InvalidJob("this model takes no plain text", remedy="Send messages instead.")

    def _note_speed(self, tokens: int, seconds: float) -> None:
        self._tokens_per_second += SMOOTHING * (tokens / max(seconds, 1e-6) - self._tokens_per_second)


class _Pieces(AsyncIterator[Piece]):
    def __init__(self, engine: UpstreamEngine, parts: AsyncIterator[Part], reply: Reply) -> None:
        self._engine = engine
        self._parts = parts
        self._reply = reply
        self._ready: list[Piece] = []
        self._began = time.perf_counter()

    async def __anext__(self) -> Piece:
        while not self._ready:
            if self._reply.finish is not None:
                raise StopAsyncIteration
            try:
                part = await anext(self._parts)
            except StopAsyncIteration:
                raise malformed("an answer without an end") from None
            self._ready.extend(self._reply.add(part))
            if self._reply.finish is not None and self._reply.count:
                self._engine._note_speed(self._reply.count, time.perf_counter() - self._began)
        return self._ready.pop(0)


def name_manifest(name: str) -> Manifest:
    """The manifest of a model of which only the name is known: the same name is the same id on every node."""
    data = name.encode()
    return Manifest((ManifestFile(NAME_FILE, len(data), Digest(hashlib.sha256(data).digest())),))


def _try_out(address: Address, silence_seconds: float) -> Abilities:
    caller = Caller(address, silence_seconds)
    try:
        return find_abilities(address, caller)
    except (Busy, Unreachable) as error:
        raise Unreachable(
            f"The upstream server at {address.base} cannot be tried out: {error.message}.",
            remedy="Start it and check its address, its model and the variable with its key, then start again.",
        ) from error
    finally:
        caller.close()


def _describe(abilities: Abilities) -> str:
    """The environment as one canonical JSON object: what is told by the server, and what stands in for it."""
    environment = {
        "api": "openai",
        "engine": "upstream",
        "logprobs": "server" if abilities.logprobs_told else "untold",
        "prompt_ids": "stand-ins" if abilities.tokenizing is None else "server",
        "token_ids": "server" if abilities.ids_told else "stand-ins",
    }
    return json.dumps(environment, sort_keys=True, separators=(",", ":"))
