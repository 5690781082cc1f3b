"""What a client wants to say to a model: a dialogue, a plain text or a text's tokens. It travels beside the job, never
in it."""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from tallynet.protocol.errors import InvalidJob
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


class Message(Struct, frozen=True, forbid_unknown_fields=True):
    """One turn of a dialogue."""

    role: Annotated[str, Meta(pattern=r"\A(system|user|assistant)\Z")]
    content: Annotated[str, Meta(max_length=MAX_REQUEST_BYTES)]


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
    return request
