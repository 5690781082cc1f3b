"""What is sent to a server: a prompt and the sampling parameters of a job, in the words of the OpenAI API."""

from collections.abc import Mapping
from dataclasses import dataclass

from tallynet.engine.upstream.stand_ins import decode_request
from tallynet.protocol.job import MILLION, Sampling
from tallynet.protocol.request import Request
from tallynet.protocol.units import Digest, TokenIds

CHAT = "/chat/completions"
COMPLETION = "/completions"

Fields = Mapping[str, object]

EXTRAS: Mapping[str, Mapping[str, Fields]] = {
    "logprobs": {CHAT: {"logprobs": True}, COMPLETION: {"logprobs": 1}},
    "token ids": {CHAT: {"return_token_ids": True}, COMPLETION: {"return_token_ids": True}},
}
"""What not every server takes: asked for where the server did take it."""


@dataclass(frozen=True, slots=True)
class Question:
    """One request to the server; `path` follows the base URL."""

    path: str
    body: Fields


def prompt_of(request: Request) -> tuple[str, Fields]:
    """Where a request is sent, and how it stands there."""
    if request.messages:
        return CHAT, {"messages": [{"role": turn.role, "content": turn.content} for turn in request.messages]}
    return COMPLETION, {"prompt": request.text}


def prompt_of_tokens(prompt: TokenIds, *, stand_ins: bool) -> tuple[str, Fields]:
    """The same for a prompt's ids: the server's own are sent as they are, of stand-ins the request that they hold."""
    return prompt_of(decode_request(prompt)) if stand_ins else (COMPLETION, {"prompt": list(prompt)})


def ask(
    model: str, prompt: tuple[str, Fields], sampling: Sampling, limit: int, seed: Digest, extras: frozenset[str]
) -> Question:
    """A streamed generation of at most `limit` tokens. `extras` are keys of `EXTRAS`."""
    path, said = prompt
    body: dict[str, object] = {
        "model": model,
        **said,
        "stream": True,
        "max_tokens": limit,
        "temperature": sampling.temperature_millionths / MILLION,
        "top_p": sampling.top_p_millionths / MILLION,
        "seed": seed_number(seed),
    }
    if sampling.top_k:
        body["top_k"] = sampling.top_k
    for extra in sorted(extras):
        body.update(EXTRAS[extra][path])
    return Question(path, body)


def seed_number(seed: Digest) -> int:
    """31 bits of the job's seed: what every server takes, and none takes for "any seed"."""
    return int.from_bytes(seed[:4]) >> 1
