"""A model's own tokenizer and chat template: requests into token ids, token ids into text.

Messages are somebody's words, often somebody else's than the client's, so no text in them may become a control
token: `<|im_start|>` in a message is encoded as the letters it is written with (transformers marks such strings
before the template is rendered and encodes them apart; where a tokenizer cannot, the request is refused). A plain
text is raw: whoever writes it writes its control tokens too.

Not protected: a template that builds control tokens from pieces of the input, and models that obey plain words.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any, cast

from jinja2 import TemplateError
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from tallynet.protocol.errors import InvalidJob, Misconfigured
from tallynet.protocol.request import NO_MESSAGES, Message, Request
from tallynet.protocol.units import TokenIds, printable

TODAY = "26 Jul 2024"
"""The date for templates that ask for today's: the same request must have the same tokens tomorrow. It is the date
that Llama's own template falls back to."""

_FIXED_DATE = f"{{% macro strftime_now(format) %}}{TODAY}{{% endmacro %}}{{{{ '' }}}}"
"""Put before a template, hides its clock; the empty expression keeps the template's first newline."""

_TOOLS = re.compile(r"\btools\b")
"""The name by which templates are given tools: one without it passes them over."""


class Tokenizer:
    """Safe to use from several threads at once: it is never changed after loading."""

    def __init__(self, directory: Path) -> None:
        """Load from a model directory; raises `Misconfigured`."""
        try:
            self._tokenizer = cast(
                PreTrainedTokenizerBase, AutoTokenizer.from_pretrained(directory, local_files_only=True)
            )
            self._template = self._fixed_template(None)
            self._tool_template = self._find_tool_template()
            self.encode_text("a")  # settles the backend's truncation and padding, its only mutable state
        except (OSError, ValueError, ImportError, KeyError, AttributeError) as error:
            raise Misconfigured(
                f"the tokenizer in {directory} cannot be loaded: {error}",
                remedy="Check that the directory holds tokenizer.json or the files that the model's tokenizer needs.",
            ) from error

    @property
    def end(self) -> int | None:
        """The id of the token that ends a text, where the tokenizer names one."""
        return cast(int | None, self._tokenizer.eos_token_id)

    @property
    def takes_tools(self) -> bool:
        """Whether the chat template has a place for them."""
        return self._tool_template is not None

    @property
    def tells_bytes(self) -> bool:
        """Whether there are `bytes_of_tokens`."""
        return isinstance(self._tokenizer, PreTrainedTokenizerFast)

    @property
    def bytes_of_tokens(self) -> str:
        """The tokenizer as one JSON text, from which follows what bytes each token stands for."""
        backend = copy(self._tokenizer.backend_tokenizer)
        backend.no_padding()
        backend.no_truncation()
        return cast(str, backend.to_str())

    @property
    def length_limit(self) -> int | None:
        """The longest input in tokens, where the tokenizer names one."""
        limit = cast(int, self._tokenizer.model_max_length)
        return limit if limit < 2**32 else None

    def encode(self, request: Request) -> TokenIds:
        """Token ids of a request; raises `InvalidJob` when the template does not take it."""
        if request.tokens:
            return request.tokens
        return self._encode_messages(request) if request.messages else self.encode_text(request.text)

    def encode_text(self, text: str) -> TokenIds:
        """Token ids of a raw text, with the tokens that the tokenizer puts before any text."""
        return tuple(cast(list[int], self._tokenizer.encode(text)))

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens; control tokens have none."""
        text = self._tokenizer.decode(list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return cast(str, text)

    def _encode_messages(self, request: Request) -> TokenIds:
        if self._template is None:
            raise InvalidJob(
                f"{NO_MESSAGES}: it has no chat template",
                remedy="Send a plain text instead, or choose a model made for dialogue.",
            )
        turns = _turns(request.messages)
        tools = json.loads(request.tools) if request.tools else None
        self._check_names([tools, turns])
        try:
            tokens = self._tokenizer.apply_chat_template(
                turns,
                tools=tools,
                chat_template=self._tool_template if request.tools else self._template,
                add_generation_prompt=True,
                sanitize_control_tokens=True,
                return_dict=False,
            )
        except (TemplateError, ValueError, TypeError) as error:
            raise InvalidJob(f"the model's chat template does not take these messages: {error}") from error
        return tuple(cast(list[int], tokens))

    def _check_names(self, given: object) -> None:
        """transformers marks values and no names: one that holds a control token is refused. Raises `InvalidJob`."""
        control = [token for token in self._tokenizer.added_tokens_encoder if not token.isspace()]
        strange = next((name for name in _names(given) if any(token in name for token in control)), None)
        if strange is not None:
            raise InvalidJob(f"the name {printable(strange)!r} in tools or arguments holds a control token")

    def _fixed_template(self, tools: list[dict[str, Any]] | None) -> str | None:
        """The chat template, for dialogues with tools or without, without a clock; None when there is none."""
        if self._tokenizer.chat_template is None:
            return None
        template = self._tokenizer.get_chat_template(tools=tools)
        return _FIXED_DATE + template if "strftime_now" in template else template

    def _find_tool_template(self) -> str | None:
        template = self._fixed_template([{}])
        return template if template is not None and _TOOLS.search(template) else None


def _names(given: object) -> Iterator[str]:
    """The names of all members of JSON, however deep."""
    waiting = [given]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield from value
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _turns(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """As templates expect them. A tool's answer also has its name, which some of them want."""
    names = {call.id: call.name for message in messages for call in message.tool_calls}
    return [_turn(message, names) for message in messages]


def _turn(message: Message, names: Mapping[str, str]) -> dict[str, Any]:
    turn: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        turn["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": json.loads(call.arguments)},
            }
            for call in message.tool_calls
        ]
    if message.role == "tool":
        turn |= {"tool_call_id": message.tool_call_id, "name": names.get(message.tool_call_id, "")}
    return turn
