"""What a number of an evaluation is, and the form in which a report states it. Source: spec chapter 8, "Metrics"."""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from tallynet.evaluation.suite import MAX_ITEMS, Name


class Kind(StrEnum):
    """What a number is."""

    EXACT = "exact-match"
    """Share of right answers, 0 to 1."""
    BLEU = "bleu"
    """0 to 100."""
    CHRF = "chrf"
    """0 to 100."""
    PERPLEXITY = "perplexity"
    """exp of the mean surprise at a token, at least 1; says nothing across tokenizers."""
    BITS = "bits-per-byte"
    """Surprise at a byte of UTF-8, in bits; of any two models."""
    DIFFERENCE = "difference"
    """By how much likelier the words behind `one` are than behind `other`, in nats per token; 0 for no difference."""
    PREFERENCE = "preference"
    """Share of pairs whose words are likelier behind `one`; 0.5 for no preference."""


Millionths = Annotated[int, Meta(gt=-(2**53), lt=2**53)]
"""Of the unit that `Kind` names, rounded: so that a report has one text on every machine."""


class Metric(Struct, frozen=True, forbid_unknown_fields=True):
    """One number about one part."""

    part: Name
    kind: Kind
    items: Annotated[int, Meta(ge=1, le=MAX_ITEMS)]
    """How many it is about."""
    value: Millionths
    low: Millionths
    high: Millionths
    """The 95 % interval."""
