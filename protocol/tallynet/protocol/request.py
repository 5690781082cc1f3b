"""What a client wants to say to a model, and what it wants of the answer. It travels beside the job, never in it.

A dialogue or a plain text; besides, if the client wants it, a schema that the answer keeps to, tools that the model may
call, and tokens that become likelier or less likely.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from tallynet.protocol.errors import InvalidJob
from tallynet.protocol.json_depth import check_depth
from tallynet.protocol.units import Digest, printable

MAX_REQUEST_BYTES = 256 * 1024
"""Largest encoded request."""

MAX_MESSAGES = 256
MAX_DOCUMENTS = 64

NO_MESSAGES = "this model takes no messages"
"""How a node's refusal of messages begins when the model has no chat template: a plain text may be sent instead."""

_Digest = Annotated[Digest, Meta(min_length=32, max_length=32)]

MAX_REQUEST_TOKENS = 65536

MAX_TOP = 5
"""Most of the likeliest tokens that are told for each place of a text."""
MAX_SCHEMA_CHARACTERS = 32 * 1024
MAX_TOOLS_CHARACTERS = 128 * 1024
MAX_TOOL_CALLS = 32
"""In one turn."""
MAX_BIASES = 300
MAX_BIAS = 100_000_000
"""In millionths: a hundred logits up or down."""


class ToolCall(Struct, frozen=True, forbid_unknown_fields=True):
    """A call that an assistant has made in an earlier answer."""

    id: Annotated[str, Meta(min_length=1, max_length=128)]
    """What the answer to it names."""
    name: Annotated[str, Meta(min_length=1, max_length=128)]
    """Of the tool."""
    arguments: Annotated[str, Meta(min_length=2, max_length=MAX_REQUEST_BYTES)]
    """A JSON object."""


class Message(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One turn of a dialogue."""

    role: Annotated[str, Meta(pattern=r"\A(system|user|assistant|tool)\Z")]
    content: Annotated[str, Meta(max_length=MAX_REQUEST_BYTES)]
    tool_calls: Annotated[tuple[ToolCall, ...], Meta(max_length=MAX_TOOL_CALLS)] = ()
    """What the assistant called in this turn."""
    tool_call_id: Annotated[str, Meta(max_length=128)] = ""
    """Which call a tool answers in this turn."""


class Bias(Struct, frozen=True, forbid_unknown_fields=True):
    """A token that becomes likelier, or less likely."""

    token: Annotated[int, Meta(ge=0, lt=2**32)]
    millionths: Annotated[int, Meta(ge=-MAX_BIAS, le=MAX_BIAS)]
    """Of a logit, added to the token's before anything is chosen."""


class Request(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Exactly one of `messages`, `text` and `tokens` is present. `template` and `documents` say what the words were
    made from: the node does nothing with them, but they are sealed with the words, and an auditor who has the files
    can compare.
    """

    messages: Annotated[tuple[Message, ...], Meta(max_length=MAX_MESSAGES)] = ()
    text: Annotated[str, Meta(max_length=MAX_REQUEST_BYTES)] = ""
    tokens: Annotated[tuple[Annotated[int, Meta(ge=0, lt=2**32)], ...], Meta(max_length=MAX_REQUEST_TOKENS)] = ()
    """A text as ids of the model's own vocabulary, taken as they are."""
    top: Annotated[int, Meta(ge=0, le=MAX_TOP)] = 0
    """Of a text to be scored: how many of the likeliest tokens are told for each place."""
    template: _Digest | None = None
    """SHA-256 of the prompt template's file."""
    documents: Annotated[tuple[_Digest, ...], Meta(max_length=MAX_DOCUMENTS)] = ()
    """SHA-256 of each passage that stands in the words, in UTF-8, in their order."""
    schema: Annotated[str, Meta(max_length=MAX_SCHEMA_CHARACTERS)] = ""
    """A JSON schema: the answer is JSON that satisfies it."""
    tools: Annotated[str, Meta(max_length=MAX_TOOLS_CHARACTERS)] = ""
    """A JSON list of the tools that the model may call, as its chat template takes them."""
    logit_bias: Annotated[tuple[Bias, ...], Meta(max_length=MAX_BIASES)] = ()


T = TypeVar("T")

_DECODER = msgspec.msgpack.Decoder(Request)
_ENCODER = msgspec.msgpack.Encoder()


def encode_request(request: Request) -> bytes:
    """The bytes that are committed to and sent: msgpack, fields in the order above, absent ones left out.

    Raises `InvalidJob` for text that is no Unicode (a lone surrogate, as JSON can smuggle in).
    """
    try:
        return _ENCODER.encode(request)
    except UnicodeEncodeError as error:
        raise InvalidJob(f"the request is not valid text: {error}", check=2) from error


def decode_request(data: bytes) -> Request:
    """Read and check a request; raises `InvalidJob`. Only the one encoding that we would write is accepted."""
    # (1) it is not too large
    if len(data) > MAX_REQUEST_BYTES:
        raise InvalidJob(f"the request has {len(data)} bytes, more than {MAX_REQUEST_BYTES}", check=1)
    # (2) it is a request, in valid UTF-8
    try:
        request = _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidJob(f"the request cannot be read: {printable(str(error))}", check=2) from error
    # (3) it holds messages, a text or its tokens, and only one of them
    if [bool(request.messages), bool(request.text), bool(request.tokens)].count(True) != 1:
        raise InvalidJob("the request must hold either messages, or a text, or a text's tokens", check=3)
    # (4) it is written in the canonical way
    if encode_request(request) != data:
        raise InvalidJob("the request is not in its canonical encoding", check=4)
    _check_json(request)
    _check_biases(request.logit_bias)
    _check_turns(request)
    return request


def _check_json(request: Request) -> None:
    # (5) the schema is a JSON object, the tools are a list of JSON objects, the arguments of each call an object
    # (5) none of them nests more than 200 deep
    if request.schema:
        _read_json(request.schema, dict[str, object], "schema")
    if request.tools and not _read_json(request.tools, list[dict[str, object]], "tools"):
        raise InvalidJob("the tools are an empty list: leave them out", check=5)
    for message in request.messages:
        for call in message.tool_calls:
            _read_json(call.arguments, dict[str, object], "arguments of a tool call")


def _read_json(text: str, form: type[T], what: str) -> T:
    try:
        check_depth(text)
        return msgspec.json.decode(text, type=form)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise InvalidJob(f"the {what} cannot be read: {printable(str(error))}", check=5) from error


def _check_biases(biases: Sequence[Bias]) -> None:
    # (6) every bias is one, and stands once, in the order of the tokens' ids
    ordered = all(one.token < other.token for one, other in pairwise(biases))
    if not ordered or not all(bias.millionths for bias in biases):
        raise InvalidJob("logit_bias names a token twice, out of order, or with a bias of 0", check=6)


def _check_turns(request: Request) -> None:
    # (7) only an assistant calls tools, and only a tool answers a call
    for message in request.messages:
        strange = message.tool_calls and message.role != "assistant"
        if strange or bool(message.tool_call_id) != (message.role == "tool"):
            raise InvalidJob(
                f"a turn of the {message.role} has {len(message.tool_calls)} tool calls and answers the call "
                f"{printable(message.tool_call_id)!r}",
                check=7,
            )
