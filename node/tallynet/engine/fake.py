"""An engine without a model, for tests and demonstrations: deterministic, instant, free of torch.

It writes words drawn by SHA-256 from its name, the prompt, the seed and the position. Limits, stop strings, end
tokens, pieces, slots and cancellation follow the same code as the real engine; the words mean nothing.
"""

import hashlib
import json
import math
import re
import struct
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import trio

from tallynet.engine.answer import Answer
from tallynet.engine.engine import (
    EngineInfo,
    EngineLoad,
    Generation,
    Piece,
    check_generation,
    check_prompt,
    check_wishes,
)
from tallynet.engine.recital import Guess, Recital
from tallynet.protocol.errors import Unreachable
from tallynet.protocol.manifest import Manifest, ManifestFile
from tallynet.protocol.request import Request
from tallynet.protocol.units import Digest, TokenIds

TAG = b"tallynet/fake/1\0"

BYTES = 256
"""Ids below this are single bytes; words follow, then the end token."""

WORDS = tuple(
    re.findall(
        r" \w+",
        " a about after all and are as at be but by can day do for from good had has he her his I if in into is it its"
        " know like little long made make many may more new no not now of on one only or other our out over people"
        " said see she small so some than that the their them then there they this time to two under up use very was"
        " way we well were what when where which who will with word work world would year you your",
    )
)

END = BYTES + len(WORDS)

_TEXTS = (*(bytes([byte]) for byte in range(BYTES)), *(word.encode() for word in WORDS), b"")

LOGPROB: float = struct.unpack("f", struct.pack("f", -math.log(len(WORDS))))[0]
"""Every word is as likely as every other; a float32, as on the wire."""

LIKELIEST = -1.0
"""The word that is drawn for a place of a given text."""

_IDS = {word: BYTES + index for index, word in enumerate(WORDS)}

_PARTS = re.compile(r" ?\w+|.", re.DOTALL)


class FakeEngine:
    """`tokens_per_second` per generation is simulated with `trio.sleep`; about one token in `end_every` ends.

    Engines of one name are one model: same manifest, same words. At temperature 0 the seed does not matter.
    """

    def __init__(
        self,
        name: str = "fake",
        *,
        slots: int = 4,
        tokens_per_second: float = 1e6,
        context_length: int = 4096,
        end_every: int = 64,
    ) -> None:
        manifest = Manifest((ManifestFile("fake", len(name.encode()), _digest(name.encode())),))
        environment = json.dumps({"engine": "fake"}, separators=(",", ":"))
        self._info = EngineInfo.of(
            name, manifest, environment, context_length=context_length, vocabulary_size=END + 1, slots=slots,
            scores=True,
        )  # fmt: skip
        self._tokens_per_second = tokens_per_second
        self._end_every = end_every
        self._slots = trio.Semaphore(slots)
        self._running = False

    @property
    def info(self) -> EngineInfo:
        return self._info

    def load(self) -> EngineLoad:
        waiting = self._slots.statistics().tasks_waiting
        return EngineLoad(self._info.slots - self._slots.value, waiting, self._tokens_per_second)

    async def tokenize(self, request: Request) -> TokenIds:
        check_wishes(request, self._info)
        turns = "".join(f"{message.role}: {message.content}\n" for message in request.messages)
        tokens = request.tokens or encode(f"{turns}assistant:" if request.messages else request.text)
        check_prompt(tokens, self._info)
        await trio.lowlevel.checkpoint()
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
        limit = check_generation(generation, self._info)
        async with self._slots:
            if generation.scored:
                yield _FakeReading(self, generation)
                return
            answer = Answer(
                limit=limit,
                stops=generation.sampling.stop,
                ends=frozenset({END}),
                decode=decode,
                clock=trio.current_time,
            )
            yield _FakeStream(self, generation, answer)

    async def _next_token(self, generation: Generation, position: int) -> int:
        await self._work()
        return self._drawn(generation, position)

    async def _work(self) -> None:
        await trio.sleep(1 / self._tokens_per_second)
        if not self._running:
            raise Unreachable("the engine was stopped", remedy="Send the job again later, or to another node.")

    def _likeliest(self, generation: Generation, position: int) -> list[Guess]:
        """Of a given text: a word drawn for the place, a little likelier than all others, and some of those."""
        first = self._drawn(generation, position)
        others = [BYTES + (position + step) % len(WORDS) for step in range(generation.top + 1)]
        guesses = [(first, LIKELIEST), *((other, LOGPROB) for other in sorted(others) if other != first)]
        return guesses[: generation.top]

    def _drawn(self, generation: Generation, position: int) -> int:
        seed = generation.seed if generation.sampling.temperature_millionths else b""
        drawn = _digest(self._info.name.encode(), repr(generation.prompt).encode(), seed, position.to_bytes(8))
        number = int.from_bytes(drawn)
        return END if number % self._end_every == 0 else BYTES + number // self._end_every % len(WORDS)


class _FakeReading(AsyncIterator[Piece]):
    """A given text: every token is as likely as a word, but for those that were drawn."""

    def __init__(self, engine: FakeEngine, generation: Generation) -> None:
        self._engine = engine
        self._generation = generation
        self._recital = Recital(generation.prompt, generation.scored, decode)
        self._ready: deque[Piece] = deque()
        self._over = False

    async def __anext__(self) -> Piece:
        while not self._ready:
            if self._over:
                raise StopAsyncIteration
            await self._engine._work()
            self._ready += self._read()
        return self._ready.popleft()

    def _read(self) -> list[Piece]:
        place = self._recital.count
        likeliest = self._engine._likeliest(self._generation, place)
        if place == len(self._generation.scored):
            self._over = True
            return self._recital.end(likeliest)
        drawn = self._engine._drawn(self._generation, place) == self._generation.scored[place]
        piece = self._recital.add(LIKELIEST if drawn else LOGPROB, likeliest)
        return [] if piece is None else [piece]


class _FakeStream(AsyncIterator[Piece]):
    def __init__(self, engine: FakeEngine, generation: Generation, answer: Answer) -> None:
        self._engine = engine
        self._generation = generation
        self._answer = answer

    async def __anext__(self) -> Piece:
        piece = None
        while piece is None:
            if self._answer.finish is not None:
                raise StopAsyncIteration
            token = await self._engine._next_token(self._generation, self._answer.count)
            piece = self._answer.add(token, LOGPROB)
        return piece


def encode(text: str) -> TokenIds:
    """Known words become one token, everything else its UTF-8 bytes."""
    parts = (_IDS.get(part, part) for part in _PARTS.findall(text))
    return tuple(token for part in parts for token in ([part] if isinstance(part, int) else part.encode()))


def decode(tokens: Sequence[int]) -> str:
    """The text of tokens; bytes that are no character become U+FFFD, the end token nothing."""
    return b"".join(_TEXTS[token] for token in tokens).decode(errors="replace")


def _digest(*parts: bytes) -> Digest:
    """SHA-256 of the tag and the length-prefixed parts."""
    return Digest(hashlib.sha256(TAG + b"".join(len(part).to_bytes(8) + part for part in parts)).digest())
