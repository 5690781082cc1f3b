"""What a model runtime promises: token ids in, pieces of tokens, text, logprobs and evidence out.

`model.TransformersEngine` runs Hugging Face models, `apart.ApartEngine` does so in a process of its own,
`fake.FakeEngine` is their deterministic public stand-in. An upstream engine fits behind the same few methods.
"""

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol, Self, runtime_checkable

import trio

from tallynet.protocol.embedding import EMBED_SAMPLING
from tallynet.protocol.errors import InvalidJob
from tallynet.protocol.job import MAX_TOKENS, Sampling, Task
from tallynet.protocol.manifest import Manifest
from tallynet.protocol.request import Bias, Request
from tallynet.protocol.score import SCORE_SAMPLING
from tallynet.protocol.units import Digest, ModelId, TokenIds

RUNTIME_TAG = b"tallynet/runtime/1\0"

SCHEMA, BIAS, TOOLS = "schema", "logit_bias", "tools"
WISHES = (SCHEMA, BIAS, TOOLS)
"""What a request may want beside an answer, by the names of its members."""


class Finish(IntEnum):
    """Why a generation ended; the numbers stand in the leaf's `status` (spec chapter 4)."""

    EOS = 0
    """The model said that it is done: its last token is an end token, which is committed and has no text."""
    LENGTH = 1
    """`max_tokens` or the context length was reached."""
    STOP = 2
    """A stop string appeared: the text ends before it, the tokens that wrote it are committed."""


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What does not change while the engine runs."""

    name: str
    """What people call the model, e.g. `tally-tiny`."""
    manifest: Manifest
    model: ModelId
    """Digest of `manifest`."""
    runtime: Digest
    """SHA-256 of `environment`: leaf field `runtime`."""
    environment: str
    """One canonical JSON object: device class, threads, slots, dtypes, attention kernel, torch and transformers."""
    context_length: int
    """Tokens of prompt and output together."""
    vocabulary_size: int
    slots: int
    """Generations that run at the same time."""
    evidence: str
    """What kind of evidence the pieces carry: `replayable` or `signature-only`."""
    task: Task = Task.GENERATE
    """What the model does. For `EMBED` a piece without tokens is the whole answer (spec chapter 3, "Embeddings")."""
    unheeded: tuple[str, ...] = ()
    """Sampling parameters that this engine cannot follow, by their names in `Sampling`."""
    planned_bytes: int = 0
    """The most memory that its plan says it takes (`plan.py`); 0 for an engine that needs no plan."""
    scores: bool = False
    """Whether it also scores texts (`Task.SCORE`)."""
    wishes: tuple[str, ...] = ()
    """Those of `WISHES` that this engine can follow."""

    def does(self, task: int) -> bool:
        """Whether a job of this task can be run here."""
        return task == self.task or (self.scores and task == Task.SCORE)

    @classmethod
    def of(
        cls,
        name: str,
        manifest: Manifest,
        environment: str,
        *,
        context_length: int,
        vocabulary_size: int,
        slots: int,
        evidence: str = "replayable",
        task: Task = Task.GENERATE,
        unheeded: tuple[str, ...] = (),
        scores: bool = False,
        planned_bytes: int = 0,
        wishes: tuple[str, ...] = (),
    ) -> Self:
        """With the digests `model` and `runtime` computed."""
        return cls(
            name=name,
            manifest=manifest,
            model=manifest.model_id,
            runtime=runtime_digest(environment),
            environment=environment,
            context_length=context_length,
            vocabulary_size=vocabulary_size,
            slots=slots,
            evidence=evidence,
            task=task,
            unheeded=unheeded,
            scores=scores,
            planned_bytes=planned_bytes,
            wishes=wishes,
        )


@dataclass(frozen=True, slots=True)
class Generation:
    """One thing to generate."""

    prompt: TokenIds
    """1 ≤ len(prompt) < context_length."""
    sampling: Sampling
    seed: Digest
    """Keys the sampler's noise; the node passes H(job_id)."""
    scored: TokenIds = ()
    """The tokens that follow, when a given text is scored and nothing is chosen (spec chapter 3, "Scores")."""
    top: int = 0
    """Then, how many of the likeliest tokens are told for each place: 0 … MAX_TOP."""
    schema: str = ""
    """A JSON schema that the answer keeps to, as `tokenize` has accepted it; empty for none."""
    logit_bias: tuple[Bias, ...] = ()
    """Added to the logits before anything is chosen."""


@dataclass(frozen=True, slots=True)
class Piece:
    """The next 1 to 16 tokens of a generation, except that the last piece may hold text alone."""

    tokens: TokenIds
    text: str
    """The text that became certain with these tokens. The texts of all pieces joined are the answer; a token
    whose text is not yet certain (half a character, a possible stop string) brings its text later."""
    logprobs: tuple[float, ...]
    """Natural log of each token's probability under the unfiltered, temperature-1 distribution, float32."""
    finish: Finish | None = None
    """Set on the last piece, and only there."""
    evidence: bytes = b""
    """Records of the groups that these tokens complete (`evidence.read_records`); empty for a plain engine."""


@dataclass(frozen=True, slots=True)
class EngineLoad:
    """What changes while the engine runs."""

    running: int
    waiting: int
    tokens_per_second: float
    """Decode speed of one generation, as measured at start-up and then on real work (moving average).
    Generations that run together share their steps: all of them have about this speed."""


class Engine(Protocol):
    """A loaded model. `run` must be running while `stream` is used."""

    @property
    def info(self) -> EngineInfo: ...

    def load(self) -> EngineLoad: ...

    async def tokenize(self, request: Request) -> TokenIds:
        """Token ids of the request under the model's own chat template.

        Raises `InvalidJob` when the request does not fit the model: too long for the context, no chat template, or a
        wish that cannot be followed, with the check of `check_wishes`.
        """

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Do the work until cancelled; reports started once the model is ready and measured."""

    def stream(self, generation: Generation) -> AbstractAsyncContextManager[AsyncIterator[Piece]]:
        """Generate. Entering waits for a slot, in arrival order; leaving ends the work before the next token.

        Entering raises `InvalidJob` for a prompt that the model cannot take. Reading raises `Busy` when the device
        ran out of memory and `Unreachable` when the model runtime failed or the engine was stopped: what was read
        before is valid, nothing follows, and the engine goes on with other generations.
        """


Tell = Callable[[list[tuple[int, Piece | None]]], None]
"""Takes what is to be said of generations, by their numbers; None tells that a slot is held. It must not wait."""


@runtime_checkable
class TellingEngine(Engine, Protocol):
    """An engine whose pieces can leave from the thread that makes them, without a turn of the trio loop."""

    def tell_through(self, tell: Tell) -> None:
        """`tell` is called from that thread, once for all pieces of a step. Before `run`."""

    def stream(
        self, generation: Generation, number: int | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[Piece]]:
        """As above. The pieces of a generation with a number go to `tell`; of them only the last is read here too.

        Raises RuntimeError for a number when there is no `tell`.
        """


def runtime_digest(environment: str) -> Digest:
    """Leaf field `runtime`."""
    return Digest(hashlib.sha256(RUNTIME_TAG + environment.encode()).digest())


def check_prompt(prompt: TokenIds, info: EngineInfo) -> None:
    """Raises `InvalidJob` unless the model can take the prompt and has room for an answer."""
    # (1) there is a prompt
    if not prompt:
        raise InvalidJob("the prompt is empty")
    # (2) it leaves room for at least one token
    if len(prompt) >= info.context_length:
        raise InvalidJob(
            f"the prompt has {len(prompt)} tokens; this model holds {info.context_length} with the answer",
            remedy="Shorten the request, or choose a model with a longer context.",
        )
    # (3) its tokens are of this model's vocabulary
    if not all(0 <= token < info.vocabulary_size for token in prompt):
        raise InvalidJob(f"the prompt has token ids outside this model's vocabulary of {info.vocabulary_size}")


def check_wishes(request: Request, info: EngineInfo) -> None:
    """Raises `InvalidJob` for what the engine would have to pass over. Numbers are those of spec chapter 2."""
    turns = any(message.tool_calls or message.role == "tool" for message in request.messages)
    asked = {SCHEMA: bool(request.schema), BIAS: bool(request.logit_bias), TOOLS: bool(request.tools) or turns}
    # (9) the engine can keep to the request's schema
    # (10) it can add the request's biases, all of tokens that the model has
    # (11) the model's chat template takes tools
    for check, (name, wanted) in enumerate(asked.items(), 9):
        if wanted and name not in info.wishes:
            raise InvalidJob(
                f"{name} is asked for, and this model takes no {name}",
                check=check,
                remedy=f"Leave {name} out, or choose another model.",
            )
    strange = [bias.token for bias in request.logit_bias if bias.token >= info.vocabulary_size]
    if strange:
        raise InvalidJob(f"logit_bias names token {strange[0]}; the model has {info.vocabulary_size}", check=10)


def check_sampling(sampling: Sampling, info: EngineInfo, task: int | None = None) -> None:
    """Raises `InvalidJob` for a parameter that the engine would have to pass over; `task` is its own by default."""
    if task == Task.SCORE and sampling != SCORE_SAMPLING:
        raise InvalidJob(f"a score samples nothing: its parameters are max_tokens = {MAX_TOKENS} and the defaults")
    if info.task is Task.EMBED and sampling != EMBED_SAMPLING:
        raise InvalidJob("an embedding samples nothing: its parameters are max_tokens = 1 and the defaults")
    usual = Sampling(sampling.max_tokens)
    for name in info.unheeded:
        if getattr(sampling, name) != getattr(usual, name):
            raise InvalidJob(
                f"{name} is {getattr(sampling, name)!r}, and the server behind this model takes no {name}",
                remedy=f"Leave {name} at its default, or choose another model.",
            )


def check_generation(generation: Generation, info: EngineInfo) -> int:
    """The most tokens the generation may have: `max_tokens`, or what the context leaves. Raises `InvalidJob`."""
    check_prompt((*generation.prompt, *generation.scored), info)
    check_sampling(generation.sampling, info, Task.SCORE if generation.scored else None)
    if generation.scored and not info.scores:
        raise InvalidJob("this engine scores no texts")
    return min(generation.sampling.max_tokens, info.context_length - len(generation.prompt))
