"""What may be asked, field by field: the part of OpenAI's requests that the network can do.

A field that is not here is refused by name (`parameters`). `null` is what leaving a field out is.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from tallynet.client.gateway.policy import Policy
from tallynet.client.tools.definition import MAX_TOOLS, Choice, JsonObject, Name, Text, Tool
from tallynet.protocol.job import MAX_STOP_CHARACTERS, MAX_STOP_STRINGS, MAX_TOKENS
from tallynet.protocol.request import (
    MAX_BIASES,
    MAX_MESSAGES,
    MAX_REQUEST_TOKENS,
    MAX_TOOL_CALLS,
    MAX_TOP,
)
from tallynet.protocol.units import TokenIds

MAX_CHOICES = 8
"""Answers to one request, each a job of its own."""
MAX_TEXTS = 2048
"""Of one request for vectors, each a job of its own; OpenAI's own limit."""

Stop = Annotated[str, Meta(min_length=1, max_length=MAX_STOP_CHARACTERS)]
TokenText = Annotated[str, Meta(pattern=r"\A[0-9]{1,10}\Z")]
Biases = Annotated[dict[TokenText, Annotated[float, Meta(ge=-100, le=100)]], Meta(max_length=MAX_BIASES)]
Tokens = Annotated[int, Meta(ge=1, le=MAX_TOKENS)]
TokenId = Annotated[int, Meta(ge=0, lt=2**32)]
Ids = Annotated[list[TokenId], Meta(max_length=MAX_REQUEST_TOKENS)]


class StreamOptions(Struct, frozen=True, forbid_unknown_fields=True):
    include_usage: bool | None = None
    include_obfuscation: Literal[False] | None = None


class TextPart(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="text"):
    text: Text


class CalledFunction(Struct, frozen=True, forbid_unknown_fields=True):
    name: Name
    arguments: Text
    """A JSON object."""


class ToolCallBody(Struct, frozen=True, forbid_unknown_fields=True):
    id: Annotated[str, Meta(min_length=1, max_length=128)]
    function: CalledFunction
    type: Literal["function"] = "function"


class ChatMessage(Struct, frozen=True, forbid_unknown_fields=True):
    """One turn. The fields that can only be null are what clients send back of an earlier answer."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Text | Annotated[list[TextPart], Meta(max_length=64)] | None = None
    """Only a turn that calls tools can be without."""
    name: None = None
    refusal: None = None
    tool_calls: Annotated[list[ToolCallBody], Meta(max_length=MAX_TOOL_CALLS)] | None = None
    tool_call_id: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    """Of the call that a `tool` answers."""
    function_call: None = None
    annotations: Annotated[list[None], Meta(max_length=0)] | None = None
    audio: None = None


class PlainText(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="text"):
    pass


class AnyObject(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="json_object"):
    pass


class NamedSchema(Struct, frozen=True, forbid_unknown_fields=True):
    name: Name
    schema: JsonObject
    description: Text | None = None
    """For people: the model does not see it."""
    strict: bool | None = None
    """It always holds."""


class ObjectOfSchema(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="json_schema"):
    json_schema: NamedSchema


class CommonBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What chat and completion share."""

    model: Annotated[str, Meta(min_length=1, max_length=256)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    """1, the model's own distribution, when absent, as OpenAI has it."""
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_k: Annotated[int, Meta(ge=0, lt=2**31)] | None = None
    """Not OpenAI's, but everybody's; 0 or absent: all tokens."""
    n: Annotated[int, Meta(ge=1, le=MAX_CHOICES)] | None = None
    stop: Stop | Annotated[list[Stop], Meta(max_length=MAX_STOP_STRINGS)] | None = None
    seed: int | None = None
    """Only at temperature 0, where nothing is drawn: a job's seed is the digest of the job itself."""
    user: Annotated[str, Meta(max_length=256)] | None = None
    """Goes into the access log, and nowhere else."""
    logit_bias: Biases | None = None
    """By the ids of the model's own tokens."""
    max_tokens: Tokens | None = None
    tally: Policy | None = None

    @property
    def include_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)

    @property
    def stops(self) -> tuple[str, ...]:
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())


class ChatBody(CommonBody, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`POST /v1/chat/completions`."""

    messages: Annotated[list[ChatMessage], Meta(min_length=1, max_length=MAX_MESSAGES)]
    max_completion_tokens: Tokens | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=0)] | None = None
    """The network reports the chosen token's probability and no other's."""
    response_format: PlainText | AnyObject | ObjectOfSchema | None = None
    tools: Annotated[list[Tool], Meta(max_length=MAX_TOOLS)] | None = None
    tool_choice: Choice | None = None
    parallel_tool_calls: bool | None = None


class CompletionBody(CommonBody, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`POST /v1/completions`: the text is continued as it stands, without a chat template."""

    prompt: Text | Annotated[list[Text | TokenId | Ids], Meta(min_length=1, max_length=MAX_REQUEST_TOKENS)]
    """A text, token ids of the model's own, or several of either."""
    echo: bool | None = None
    logprobs: Annotated[int, Meta(ge=0, le=MAX_TOP)] | None = None
    """Of an answer, the chosen tokens' alone; with `echo` also those of so many likely tokens."""
    max_tokens: Annotated[int, Meta(ge=0, le=MAX_TOKENS)] | None = None

    @property
    def prompts(self) -> tuple[str | TokenIds, ...]:
        """Empty for a list of both texts and ids."""
        if isinstance(self.prompt, str):
            return (self.prompt,)
        ids = tuple(one for one in self.prompt if isinstance(one, int))
        if ids:
            return (ids,) if len(ids) == len(self.prompt) else ()
        return tuple(one if isinstance(one, str) else tuple(one) for one in self.prompt if not isinstance(one, int))


class EmbeddingsBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`POST /v1/embeddings`."""

    model: Annotated[str, Meta(min_length=1, max_length=256)]
    input: Text | Annotated[list[Text | int | list[int]], Meta(min_length=1, max_length=MAX_TEXTS)]
    """Token ids can be read, so that they can be refused by their name."""
    encoding_format: Literal["float", "base64"] | None = None
    user: Annotated[str, Meta(max_length=256)] | None = None
    tally: Policy | None = None
