"""From what an operator writes (`fake`, a directory, a hub id, another server) to a loaded engine."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial

from tallynet.engine.apart import ApartEngine
from tallynet.engine.checkpoint import find_checkpoint
from tallynet.engine.engine import Engine
from tallynet.engine.fake import FakeEngine
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.job import Task

FAKE = "fake"
UPSTREAM = "openai:"

SLOTS = 16


def open_engine(
    spec: str,
    *,
    device: str = "auto",
    dtype: str = "auto",
    slots: int = SLOTS,
    context_length: int | None = None,
    apart: bool = False,
    api_key: str = "",
) -> Engine:
    """Load a model; blocks, so call it in a thread when a loop is running.

    `spec` is `fake`, `fake:NAME` or `fake:NAME@TOKENS_PER_SECOND`, a model directory, a hub id
    `owner/name[@revision]`, or `openai:URL#MODEL` for a server that speaks the OpenAI API, to which `api_key` is sent.
    `device` is auto, cpu, cuda, cuda:1 or mps; `dtype` auto, float32, bfloat16 or float16; `slots` the most generations
    at once; `context_length` lowers the model's own, in tokens. `apart` gives the model a process of its own, which a
    serving node wants; the fake and another server need none. Raises `Misconfigured`, or `Unreachable` for a hub id
    that cannot be fetched now and a server that does not answer.
    """
    if slots < 1 or (context_length is not None and context_length < 2):
        raise Misconfigured("an engine needs at least one slot and a context of two tokens")
    if spec == FAKE or spec.startswith(f"{FAKE}:"):
        return _open_fake(spec.removeprefix(FAKE).removeprefix(":"), slots, context_length)
    if spec.startswith(UPSTREAM):
        return _open_upstream(spec.removeprefix(UPSTREAM), api_key, slots, context_length)
    if apart:
        return ApartEngine(spec, device=device, dtype=dtype, slots=slots, context_length=context_length)
    checkpoint = find_checkpoint(spec)
    with _collector_paused():
        from tallynet.engine.embedder import read_task
        from tallynet.engine.embedding import EmbeddingEngine
        from tallynet.engine.hardware import choose_hardware
        from tallynet.engine.model import TransformersEngine
    hardware = choose_hardware(device, dtype)
    if read_task(checkpoint.directory) is Task.EMBED:
        return EmbeddingEngine(checkpoint, hardware, longest_context=context_length)
    return TransformersEngine(checkpoint, hardware, slots=slots, longest_context=context_length)


def has_plan(spec: str) -> bool:
    """Whether the model takes memory here that is planned: not the fake, and no other server's."""
    return spec != FAKE and not spec.startswith((f"{FAKE}:", UPSTREAM))


def _open_upstream(spec: str, api_key: str, slots: int, context_length: int | None) -> Engine:
    """It needs no process of its own: another server does the work."""
    from tallynet.engine.upstream import UpstreamEngine  # a client for HTTP, of use to no other engine
    from tallynet.engine.upstream.server import Address

    return UpstreamEngine(Address.read(spec, api_key), slots=slots, context_length=context_length)


def _open_fake(spec: str, slots: int, context_length: int | None) -> FakeEngine:
    name, paced, speed = spec.partition("@")
    engine = partial(FakeEngine, name or FAKE, slots=slots)
    if context_length is not None:
        engine = partial(engine, context_length=context_length)
    return engine(tokens_per_second=_read_speed(speed)) if paced else engine()


def _read_speed(text: str) -> float:
    with suppress(ValueError):
        if 0.01 <= (speed := float(text)) <= 1e9:
            return speed
    raise Misconfigured(
        f"{text!r} is no speed of a fake model.", remedy="Write fake:NAME@100 for 100 tokens per second."
    )


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Import without collecting garbage, and never look for garbage in what was imported.

    torch and transformers make half a million objects that live as long as the process: collecting while they are
    imported takes a fifth of the start-up, and looking through them later holds up decoding.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if enabled:
            gc.enable()
