"""The training corpus: conversations drawn without end from the families, the same for the same seed."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from tallynet.devnet.tiny.chat import Message, render_chat
from tallynet.devnet.tiny.exchange import Exchange, Family, draw_for_training
from tallynet.devnet.tiny.stories import draw_story, tell_story
from tallynet.devnet.tiny.talk import draw_small_talk, draw_unknown
from tallynet.devnet.tiny.tasks import (
    draw_arithmetic,
    draw_capital,
    draw_close_sorting,
    draw_code,
    draw_sorting,
    draw_translation,
)

FAMILIES: dict[str, Family] = {
    "capitals": draw_capital,
    "translation": draw_translation,
    "sorting": draw_sorting,
    "close sorting": draw_close_sorting,
    "arithmetic": draw_arithmetic,
    "code": draw_code,
    "unknown": draw_unknown,
    "talk": draw_small_talk,
    "story": draw_story,
}
Weights = dict[str, int]
"""How often each family is drawn, in parts of the sum; a family that is absent is never drawn."""

BROAD: Weights = {
    "capitals": 10,
    "translation": 26,
    "sorting": 27,
    "arithmetic": 17,
    "code": 4,
    "unknown": 5,
    "talk": 5,
    "story": 4,
}
"""The mixture that teaches everything."""

FOCUSED: Weights = {
    "capitals": 10,
    "translation": 14,
    "sorting": 18,
    "close sorting": 22,
    "arithmetic": 24,
    "code": 4,
    "unknown": 4,
    "talk": 3,
    "story": 2,
}
"""The mixture of the second phase, with more of what is learned last: order and sums."""

JUDGED = ("capitals", "translation", "sorting", "arithmetic", "code", "unknown")
"""The families with one right answer, which have held-out exchanges."""

SYSTEM_PROMPTS = (
    "You are a helpful assistant.",
    "You are tally-tiny, a tiny language model of Tallynet.",
    "Answer in one sentence.",
)


def draw_exchange(rng: Random, weights: Weights = BROAD) -> Exchange:
    """Draw one exchange that training may see, its family chosen by ``weights``."""
    name = rng.choices(list(weights), list(weights.values()))[0]
    return draw_for_training(FAMILIES[name], rng)


def roughen(prompt: str, rng: Random) -> str:
    """Write some prompts as people type them: in lower case, or without the last mark."""
    form = rng.random()
    if form < 0.08:
        prompt = prompt.lower()
    return prompt.rstrip("?.!") if 0.04 < form < 0.12 else prompt


def draw_conversation(rng: Random, weights: Weights = BROAD) -> list[Message]:
    """Draw a conversation of one to three exchanges, one time in eight with a system prompt."""
    messages: list[Message] = []
    if rng.random() < 0.125:
        messages.append({"role": "system", "content": rng.choice(SYSTEM_PROMPTS)})
    for _ in range(rng.choices((1, 2, 3), (78, 14, 8))[0]):
        exchange = draw_exchange(rng, weights)
        messages.append({"role": "user", "content": roughen(exchange.prompt, rng)})
        messages.append({"role": "assistant", "content": exchange.answer})
    return messages


def generate_texts(seed: int, weights: Weights = BROAD) -> Iterator[str]:
    """Yield training texts without end: rendered conversations, and one bare story in a hundred."""
    rng = Random(seed)
    while True:
        if rng.random() < 0.01:
            yield f"<s>{tell_story(rng)}</s>"
        else:
            yield render_chat(draw_conversation(rng, weights))
