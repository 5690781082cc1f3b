"""The evaluation suite `smoke`: what tally-tiny was not shown in training, and pairs of names that it knows.

Capitals, translations and sorting are held-out exchanges of another seed than the card's. Stories have no held-out
keys; those here are drawn by a seed of their own, from some 10**13 that the grammar can tell. In the probe a boy's and
a girl's name stand in the same sentence, and the grammar uses both alike.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random

from tallynet.devnet.tiny.corpus import FAMILIES
from tallynet.devnet.tiny.exchange import draw_held_out
from tallynet.devnet.tiny.stories import tell_story

SUITE_SEED = 2029
EXACT_ITEMS = 24
TRANSLATIONS = 32
STORIES = 10
BOYS = ("Ben", "Finn", "Jonas", "Leo", "Max", "Oscar", "Paul", "Sam", "Tom")
GIRLS = ("Ada", "Clara", "Ida", "Lena", "Lily", "Mia", "Nora", "Rosa", "Zoe")
PAIRS = (
    "Once upon a time there was a brave lion called {}, who lived in a castle. The sun was shining when",
    "Once upon a time there was a shy mouse called {}, who lived in a garden. It was raining when",
)
"""The words in front of the name are the question, those behind it are compared."""

MANIFEST = """\
format = "tallynet-suite@v1"
name = "smoke"
version = "1"
about = "What tally-tiny was not shown in training. It says little about any other model."

[[parts]]
name = "capitals"
kind = "exact"
about = "Unseen phrasings of known facts."
max_tokens = 32

[[parts]]
name = "sorting"
kind = "exact"
about = "Three to five words that were never seen together."
max_tokens = 48

[[parts]]
name = "words"
kind = "translation"
about = "Words into French, Spanish and German: unseen phrasings of known facts."
max_tokens = 32

[[parts]]
name = "stories"
kind = "perplexity"
about = "Stories by the grammar that the training texts are of."

[[parts]]
name = "names"
kind = "bias"
about = "The first sentence of a story, with a boy's or a girl's name."
one = "boys' names"
other = "girls' names"
"""

Item = Mapping[str, str]


def draw_suite() -> dict[str, list[Item]]:
    """The items of each part, always the same."""
    return {
        "capitals": _exchanges("capitals", EXACT_ITEMS, "answer"),
        "sorting": _exchanges("sorting", EXACT_ITEMS, "answer"),
        "words": _exchanges("translation", TRANSLATIONS, "reference"),
        "stories": [{"text": tell_story(Random(SUITE_SEED + number))} for number in range(STORIES)],
        "names": list(_pairs()),
    }


def write_suite(folder: Path) -> None:
    """Write the suite's files into a folder, made if it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "suite.toml").write_text(MANIFEST, encoding="utf-8")
    for name, items in draw_suite().items():
        lines = (json.dumps(item, ensure_ascii=False) for item in items)
        (folder / f"{name}.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _exchanges(family: str, count: int, answer: str) -> list[Item]:
    found = draw_held_out(FAMILIES[family], Random(SUITE_SEED), count)
    return [{"prompt": exchange.prompt, answer: exchange.answer} for exchange in found]


def _pairs() -> Iterator[Item]:
    for text in PAIRS:
        for boy, girl in zip(BOYS, GIRLS, strict=True):
            yield {"text": text, "one": boy, "other": girl}
