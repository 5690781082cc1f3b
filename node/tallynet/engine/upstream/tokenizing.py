"""A server's own token ids of a prompt, where it tells them and takes them back in place of a text.

vLLM and SGLang answer `/tokenize` for a text, vLLM also for messages; llama.cpp has `/apply-template` and `/tokenize`.
Where one of these is there for texts and messages alike, prompts are made of the server's ids, else of stand-ins.
"""

from collections.abc import Generator
from dataclasses import dataclass
from enum import Enum
from typing import cast

from tallynet.engine.upstream.events import malformed
from tallynet.engine.upstream.questions import COMPLETION, Fields, ask
from tallynet.engine.upstream.server import Address, Caller
from tallynet.protocol.errors import Busy, InvalidJob, Unreachable
from tallynet.protocol.job import Sampling
from tallynet.protocol.request import Message, Request
from tallynet.protocol.units import Digest, TokenIds

MAX_ID = 2**31
WORDS = "One two three."

Steps = Generator[tuple[str, Fields], Fields, TokenIds]
"""URL and body of each thing to ask for, given the answers one after the other; in the end the ids."""


class Style(Enum):
    """Whose endpoints they are."""

    VLLM = "vllm"
    LLAMA_CPP = "llama.cpp"


@dataclass(frozen=True, slots=True)
class Tokenizing:
    """How to ask for the ids of a prompt."""

    style: Style

    def steps(self, address: Address, request: Request) -> Steps:
        """What to ask for. Raises `Unreachable` for answers that are none."""
        url = f"{address.root}/tokenize"
        if request.messages and self.style is Style.LLAMA_CPP:
            told = yield f"{address.root}/apply-template", {"messages": _messages(request)}
            return read_ids((yield url, _llama_cpp(read_prompt(told))))
        return read_ids((yield url, self._text_or_messages(address, request)))

    def _text_or_messages(self, address: Address, request: Request) -> Fields:
        if self.style is Style.LLAMA_CPP:
            return _llama_cpp(request.text)
        if request.messages:
            return {"model": address.model, "messages": _messages(request), "add_generation_prompt": True}
        return {"model": address.model, "prompt": request.text}


def find_tokenizing(address: Address, caller: Caller) -> Tokenizing | None:
    """Which style the server has, if any: tried for a text and for messages, and by sending the ids back."""
    for style in Style:
        try:
            ids = _try(Tokenizing(style), address, caller)
            question = ask(address.model, (COMPLETION, {"prompt": list(ids)}), Sampling(1), 1, _SEED, frozenset())
            for _ in caller.stream(question):
                pass
            return Tokenizing(style)
        except (InvalidJob, Busy, Unreachable):
            continue
    return None


def read_ids(told: Fields) -> TokenIds:
    """The ids of an answer; raises `Unreachable` for one that holds none."""
    ids = told.get("tokens")
    if not isinstance(ids, list) or not ids or not all(type(token) is int and 0 <= token < MAX_ID for token in ids):
        raise malformed("no token ids where some were asked for")
    return tuple(cast(list[int], ids))


def read_prompt(told: Fields) -> str:
    """The text that messages became; raises `Unreachable` for an answer that holds none."""
    prompt = told.get("prompt")
    if not isinstance(prompt, str) or not prompt:
        raise malformed("no prompt where one was asked for")
    return prompt


def _try(tokenizing: Tokenizing, address: Address, caller: Caller) -> TokenIds:
    """The ids of messages, after those of a text could be had."""
    caller.converse(tokenizing.steps(address, Request(text=WORDS)))
    return caller.converse(tokenizing.steps(address, Request(messages=(Message("user", WORDS),))))


def _messages(request: Request) -> list[Fields]:
    return [{"role": message.role, "content": message.content} for message in request.messages]


def _llama_cpp(text: str) -> Fields:
    """As its own chat endpoint tokenises what its template made."""
    return {"content": text, "add_special": True, "parse_special": True}


_SEED = Digest(bytes(32))
