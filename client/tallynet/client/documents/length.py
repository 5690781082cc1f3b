"""What is known of how much a model can read: its nodes say so in tokens, and refuse what is too long, unpaid."""

from tallynet.client.client import AsyncClient
from tallynet.client.conversation import NodeRefused
from tallynet.protocol.request import MAX_REQUEST_BYTES, NO_MESSAGES

CHARACTERS_PER_TOKEN = 3
"""Of a text that a tokenizer was made for; others have fewer, and are refused and cut further."""
TOO_LONG = {5, 6}
"""The checks of chapter 2 that a prompt breaks which does not fit the context."""


def is_too_long(error: NodeRefused) -> bool:
    """Whether a shorter prompt might be taken."""
    return error.check in TOO_LONG and not error.reason.startswith(NO_MESSAGES)


async def characters_that_fit(client: AsyncClient, model: str, max_tokens: int) -> int:
    """About how many characters a prompt may have beside an answer of `max_tokens`. Raises `NoNodes`."""
    offer = await client.model(model)
    tokens = max(offer.context_length - min(max_tokens, offer.context_length // 2), 64)
    return min(tokens * CHARACTERS_PER_TOKEN, MAX_REQUEST_BYTES // 8)
