"""A suite: what a model is asked in an evaluation, in parts of one kind each.

The digest names the suite: two evaluations of one digest asked the same. Source: spec chapter 8, "Suites".
"""

import hashlib
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from tallynet.protocol.units import Digest

MAX_SUITE_BYTES = 4 * 2**20
"""Largest suite, as the JSON that its digest is of."""
MAX_ITEMS = 5000
"""Of a whole suite."""
MAX_PARTS = 32
MAX_TEXT = 65_536
"""Characters of one text."""
MAX_ANSWER_TOKENS = 1024
PLACE = "{}"
"""Where a pair's two words stand in its text."""

Name = Annotated[str, Meta(pattern=r"\A[a-z0-9][a-z0-9_-]{0,39}\Z")]
Version = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9.+-]{1,20}\Z")]
Text = Annotated[str, Meta(min_length=1, max_length=MAX_TEXT)]
Word = Annotated[str, Meta(min_length=1, max_length=64)]
AnswerTokens = Annotated[int, Meta(ge=1, le=MAX_ANSWER_TOKENS)]


class Answered(Struct, frozen=True, forbid_unknown_fields=True):
    """A question with one right answer."""

    prompt: Text
    answer: Text


class Translated(Struct, frozen=True, forbid_unknown_fields=True):
    """A question with a good answer, which others come near to."""

    prompt: Text
    reference: Text


class Written(Struct, frozen=True, forbid_unknown_fields=True):
    """A text whose likelihood is asked."""

    text: Text


class Paired(Struct, frozen=True, forbid_unknown_fields=True):
    """One text with either of two words, which name members of two groups."""

    text: Text
    """Holds `{}` once, and something behind it."""
    one: Word
    other: Word


class Part(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", kw_only=True):
    """What all parts have."""

    name: Name
    about: Annotated[str, Meta(max_length=400)] = ""


class AskedPart(Part, frozen=True, kw_only=True):
    """What is answered in words."""

    max_tokens: AnswerTokens
    system: Annotated[str, Meta(max_length=MAX_TEXT)] = ""
    """Instructions before every prompt."""
    raw: bool = False
    """True for models without a chat template: the prompt is all that they read."""


class ExactPart(AskedPart, frozen=True, tag="exact", kw_only=True):
    """Answers that are right or wrong, letter by letter but for white space at the ends."""

    items: Annotated[tuple[Answered, ...], Meta(min_length=1, max_length=MAX_ITEMS)]


class TranslationPart(AskedPart, frozen=True, tag="translation", kw_only=True):
    """Answers that are compared with a reference by BLEU and chrF."""

    items: Annotated[tuple[Translated, ...], Meta(min_length=1, max_length=MAX_ITEMS)]


class PerplexityPart(Part, frozen=True, tag="perplexity", kw_only=True):
    """Texts, and how surprised the model is by them."""

    items: Annotated[tuple[Written, ...], Meta(min_length=1, max_length=MAX_ITEMS)]


class BiasPart(Part, frozen=True, tag="bias", kw_only=True):
    """Pairs of texts that differ in one word, and by which of them the model is surprised less."""

    one: Annotated[str, Meta(min_length=1, max_length=40)]
    """The group whose members are `one`, for people."""
    other: Annotated[str, Meta(min_length=1, max_length=40)]
    items: Annotated[tuple[Paired, ...], Meta(min_length=1, max_length=MAX_ITEMS)]


AnyPart = ExactPart | TranslationPart | PerplexityPart | BiasPart


class Suite(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A suite with all its items."""

    format: Literal["tallynet-suite@v1"] = "tallynet-suite@v1"
    name: Name
    version: Version
    about: Annotated[str, Meta(max_length=400)] = ""
    parts: Annotated[tuple[AnyPart, ...], Meta(min_length=1, max_length=MAX_PARTS)]

    @property
    def digest(self) -> Digest:
        """SHA-256 of its JSON without spaces, items and all: two suites with one digest ask the same."""
        return Digest(hashlib.sha256(msgspec.json.encode(self)).digest())


def find_fault(suite: Suite) -> str:
    """What is wrong with a suite whose fields are within their bounds, in words; empty when nothing is."""
    names = [part.name for part in suite.parts]
    if len(set(names)) < len(names):
        return "two parts have the same name"
    if (count := sum(len(part.items) for part in suite.parts)) > MAX_ITEMS:
        return f"it has {count} items, more than {MAX_ITEMS}"
    if (size := len(msgspec.json.encode(suite))) > MAX_SUITE_BYTES:
        return f"it has {size} bytes, more than {MAX_SUITE_BYTES}"
    for part in suite.parts:
        if isinstance(part, AskedPart) and part.raw and part.system:
            return f"part {part.name!r} is raw and has a system prompt, which only a chat template can hold"
        for number, item in enumerate(part.items, 1):
            if isinstance(item, Paired) and (fault := _find_fault_of_pair(item)):
                return f"item {number} of part {part.name!r} {fault}"
    return ""


def _find_fault_of_pair(pair: Paired) -> str:
    before, place, after = pair.text.partition(PLACE)
    if not place or PLACE in after:
        return f"does not hold {PLACE} exactly once"
    if not after.strip():
        return f"has nothing behind {PLACE}: it is the words behind it that are compared"
    return "has the same word twice" if pair.one == pair.other else ""
