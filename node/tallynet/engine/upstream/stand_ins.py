"""Token ids where a server tells none, so that chunks, counts and prices mean the same as for every other answer.

Of a prompt: one id per byte, and one before each message that says whose words follow; the ids hold the whole request.
Of an answer: one id for each part that the server streamed by itself, usually a token, derived from its text. Nobody
can decode it, and nobody needs to: the text stands beside it. Source: spec chapter 3, "Answers of another server".
"""

import hashlib
from itertools import groupby

from tallynet.protocol.request import Message, Request
from tallynet.protocol.units import TokenIds

TAG = b"tallynet/token/1\0"

BYTES = 256
ROLES = ("system", "user", "assistant")
"""Id 256 begins a message of the system, 257 of the user, 258 of the assistant."""

VOCABULARY_SIZE = 2**32


def encode_request(request: Request) -> TokenIds:
    """The ids of a prompt; `decode_request` makes the request of them again."""
    marked = ((BYTES + ROLES.index(turn.role), *turn.content.encode()) for turn in request.messages)
    return tuple(token for turn in marked for token in turn) if request.messages else tuple(request.text.encode())


def decode_request(tokens: TokenIds) -> Request:
    """Raises ValueError for ids that `encode_request` did not make."""
    if not tokens or tokens[0] < BYTES:
        return Request(text=bytes(tokens).decode())
    messages: list[Message] = []
    for is_mark, group in groupby(tokens, lambda token: token >= BYTES):
        if is_mark:
            messages.extend(Message(ROLES[mark - BYTES] if mark - BYTES < len(ROLES) else "", "") for mark in group)
        else:
            messages[-1] = Message(messages[-1].role, bytes(group).decode())
    if not all(message.role for message in messages):
        raise ValueError("the ids are no request")
    return Request(messages=tuple(messages))


def stand_in(text: str) -> int:
    """The id of a part of an answer: the first four bytes of a hash of its text, big-endian."""
    return int.from_bytes(hashlib.sha256(TAG + text.encode()).digest()[:4])
