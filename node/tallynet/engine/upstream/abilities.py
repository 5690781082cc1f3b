"""What a server can do, found out at the start by trying: the API that all of them speak is not the same on any two.

A parameter that a server takes is not yet one that it follows. So top-k and top-p are tried where they must make the
likeliest tokens come out at any temperature; where they don't, jobs that ask for them are refused at admission.
"""

import logging
import time
from dataclasses import dataclass

from tallynet.engine.upstream.events import Part
from tallynet.engine.upstream.questions import CHAT, COMPLETION, EXTRAS, Fields, Question, ask, prompt_of
from tallynet.engine.upstream.server import Address, Caller
from tallynet.engine.upstream.tokenizing import Tokenizing, find_tokenizing
from tallynet.protocol.errors import InvalidJob, Misconfigured, TallyError, Unreachable
from tallynet.protocol.job import MILLION, Sampling
from tallynet.protocol.request import Message, Request
from tallynet.protocol.units import Digest

log = logging.getLogger(__name__)

TRIAL_TOKENS = 8
WORDS = "Name the days of the week, one after the other."
REQUESTS = {CHAT: Request(messages=(Message("user", WORDS),)), COMPLETION: Request(text=WORDS)}
GREEDY = Sampling(TRIAL_TOKENS)
HOT = 2 * MILLION
FILTERS = {
    "top_k": Sampling(TRIAL_TOKENS, HOT, top_k=1),
    "top_p_millionths": Sampling(TRIAL_TOKENS, HOT, top_p_millionths=1),
}
"""Each leaves only the likeliest token, at a temperature that would choose others."""
SEED = Digest(bytes(range(32)))


@dataclass(frozen=True, slots=True)
class Abilities:
    """What was found."""

    paths: frozenset[str]
    """Of `CHAT` and `COMPLETION`, those that answer."""
    extras: frozenset[str]
    """Of `EXTRAS`, those that every path takes."""
    unheeded: tuple[str, ...]
    """Sampling parameters that are refused or passed over."""
    tokenizing: Tokenizing | None
    """How the server makes the ids of a prompt and takes them; None where stand-ins are used."""
    ids_told: bool
    """Whether it tells the ids of an answer."""
    logprobs_told: bool
    context_length: int | None
    """In tokens, where the server tells it."""
    tokens_per_second: float


def find_abilities(address: Address, caller: Caller) -> Abilities:
    """Try a server out. Raises `Misconfigured` when it does not serve the model, `Unreachable` when it is not there."""
    paths = _find_paths(address, caller)
    tokenizing = find_tokenizing(address, caller) if COMPLETION in paths else None
    tried = (COMPLETION,) if tokenizing is not None else tuple(sorted(paths))
    extras = frozenset(extra for extra in EXTRAS if all(_takes(caller, address, path, {extra}) for path in tried))
    if len(extras) > 1 and not all(_takes(caller, address, path, extras) for path in tried):
        extras = frozenset()
    best = tried[0]
    unheeded = tuple(name for name in FILTERS if not _follows(caller, address, best, name))
    said, speed = _measure(caller, address, best, extras)
    return Abilities(
        paths, extras, unheeded, tokenizing,
        ids_told=bool(said) and all(part.ids_told for part in said),
        logprobs_told=bool(said) and all(part.logprobs_told for part in said),
        context_length=_told_context(address, caller),
        tokens_per_second=speed,
    )  # fmt: skip


def _find_paths(address: Address, caller: Caller) -> frozenset[str]:
    paths: set[str] = set()
    errors: list[TallyError] = []
    for path in (CHAT, COMPLETION):
        try:
            _generate(caller, address, path, GREEDY)
            paths.add(path)
        except (InvalidJob, Unreachable) as error:
            errors.append(error)
    if not paths and all(isinstance(error, InvalidJob) for error in errors):
        raise Misconfigured(
            f"The upstream server does not serve {address.model!r}: {errors[0].message}",
            remedy="Name the model after # as the server does: ask it for /v1/models.",
        )
    if not paths:
        raise next(error for error in errors if isinstance(error, Unreachable))
    return frozenset(paths)


def _generate(caller: Caller, address: Address, path: str, sampling: Sampling, *extras: str) -> str:
    """The text of a few tokens."""
    return "".join(part.text for part in caller.stream(_question(address, path, sampling, frozenset(extras))))


def _question(address: Address, path: str, sampling: Sampling, extras: frozenset[str]) -> Question:
    prompt: tuple[str, Fields] = prompt_of(REQUESTS[path])
    return ask(address.model, prompt, sampling, sampling.max_tokens, SEED, extras)


def _takes(caller: Caller, address: Address, path: str, extras: frozenset[str] | set[str]) -> bool:
    """Whether the server still answers when it is asked for these too."""
    try:
        _generate(caller, address, path, GREEDY, *extras)
    except (InvalidJob, Unreachable) as error:
        log.info("the upstream server gives no %s on %s: %s", " and ".join(sorted(extras)), path, error.message)
        return False
    return True


def _follows(caller: Caller, address: Address, path: str, name: str) -> bool:
    try:
        followed = _generate(caller, address, path, FILTERS[name]) == _generate(caller, address, path, GREEDY)
    except (InvalidJob, Unreachable) as error:
        log.info("the upstream server takes no %s: %s", name, error.message)
        return False
    if not followed:
        log.warning("the upstream server passes over %s: jobs that set it are refused", name)
    return followed


def _measure(caller: Caller, address: Address, path: str, extras: frozenset[str]) -> tuple[list[Part], float]:
    """Generate once more with all that was found: the parts that hold tokens, and the tokens per second."""
    began = time.perf_counter()
    said = [part for part in caller.stream(_question(address, path, GREEDY, extras)) if part.tokens]
    seconds = max(time.perf_counter() - began, 1e-6)
    return said, max(sum(len(part.tokens) for part in said), 1) / seconds


def _told_context(address: Address, caller: Caller) -> int | None:
    """vLLM and SGLang tell it with the model, llama.cpp among its properties."""
    try:
        entries = caller.look(f"{address.base}/models").get("data")
    except (InvalidJob, Unreachable):
        return None
    listed = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    told = [entry.get("max_model_len") for entry in listed if entry.get("id") == address.model]
    told.append(_told_by_llama_cpp(address, caller))
    return next((length for length in told if isinstance(length, int) and length > 1), None)


def _told_by_llama_cpp(address: Address, caller: Caller) -> object:
    try:
        settings = caller.look(f"{address.root}/props").get("default_generation_settings")
    except (InvalidJob, Unreachable):
        return None
    return settings.get("n_ctx") if isinstance(settings, dict) else None
