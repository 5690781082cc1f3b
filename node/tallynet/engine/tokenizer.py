"""A model's own tokenizer and chat template: requests into token ids, token ids into text.

Messages are somebody's words, often somebody else's than the client's, so no text in them may become a control
token: `<|im_start|>` in a message is encoded as the letters it is written with (transformers marks such strings
before the template is rendered and encodes them apart; where a tokenizer cannot, the request is refused). A plain
text is raw: whoever writes it writes its control tokens too.

Not protected: a template that builds control tokens from pieces of the input, and models that obey plain words.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from jinja2 import TemplateError
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from tallynet.protocol.errors import InvalidJob, Misconfigured
from tallynet.protocol.request import NO_MESSAGES, Request
from tallynet.protocol.units import TokenIds

TODAY = "26 Jul 2024"
"""The date for templates that ask for today's: the same request must have the same tokens tomorrow. It is the date
that Llama's own template falls back to."""

_FIXED_DATE = f"{{% macro strftime_now(format) %}}{TODAY}{{% endmacro %}}{{{{ '' }}}}"
"""Put before a template, hides its clock; the empty expression keeps the template's first newline."""


class Tokenizer:
    """Safe to use from several threads at once: it is never changed after loading."""

    def __init__(self, directory: Path) -> None:
        """Load from a model directory; raises `Misconfigured`."""
        try:
            self._tokenizer = cast(
                PreTrainedTokenizerBase, AutoTokenizer.from_pretrained(directory, local_files_only=True)
            )
            self._template = self._fixed_template()
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
        messages = [{"role": message.role, "content": message.content} for message in request.messages]
        try:
            tokens = self._tokenizer.apply_chat_template(
                messages,
                chat_template=self._template,
                add_generation_prompt=True,
                sanitize_control_tokens=True,
                return_dict=False,
            )
        except (TemplateError, ValueError, TypeError) as error:
            raise InvalidJob(f"the model's chat template does not take these messages: {error}") from error
        return tuple(cast(list[int], tokens))

    def _fixed_template(self) -> str | None:
        """The default chat template without a clock; None when there is none."""
        if self._tokenizer.chat_template is None:
            return None
        template = self._tokenizer.get_chat_template()
        return _FIXED_DATE + template if "strftime_now" in template else template
