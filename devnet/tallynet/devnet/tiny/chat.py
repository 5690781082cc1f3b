"""The chat format: special tokens, the template that ships with the tokenizer and the same rule in Python."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

START = "<s>"
END = "</s>"
PADDING = "<pad>"
ROLE_TOKENS: dict[str, str] = {"system": "<|system|>", "user": "<|user|>", "assistant": "<|assistant|>"}
SPECIAL_TOKENS: tuple[str, ...] = (PADDING, START, END, *ROLE_TOKENS.values())

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + eos_token }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


class Message(TypedDict):
    """One turn of a conversation; ``role`` is a key of ``ROLE_TOKENS``."""

    role: str
    content: str


def render_chat(messages: Sequence[Message], add_generation_prompt: bool = False) -> str:
    """Render ``messages`` exactly as ``CHAT_TEMPLATE`` does."""
    turns = [f"{ROLE_TOKENS[message['role']]}{message['content']}{END}" for message in messages]
    return START + "".join(turns) + (ROLE_TOKENS["assistant"] if add_generation_prompt else "")
