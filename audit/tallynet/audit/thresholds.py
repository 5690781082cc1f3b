"""How far an honest run may be from its replay: measured, never guessed, and kept with the measurements.

The file beside this module is what `tallynet calibrate` wrote; a model that behaves otherwise deserves its own.
"""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from tallynet.protocol.errors import Misconfigured

DEFAULT = Path(__file__).with_name("thresholds.json")
FORMAT = "tallynet-thresholds@v1"
EVEN = 0.5
"""What is as good as the claim explains half of what they explain differently."""
ANY = "any"
"""The loosest of all pairs: where the node's numbers are not known."""


class Bound(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mean of n numbers of an honest run is at most `centre` + spread / sqrt(n)."""

    centre: float
    """Median over honest runs."""
    suspect: float
    """The spread that 99 % of honest runs stay under."""
    fail: float
    """Three times the largest spread of any honest run that was measured."""

    def limits(self, count: int) -> tuple[float, float]:
        """What a mean of `count` numbers may reach: without suspicion, and at all."""
        root = math.sqrt(count)
        return self.centre + self.suspect / root, self.centre + self.fail / root


class Thresholds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For one pair of number formats: the node's and the auditor's."""

    mismatches: float
    """The part of an honest run's tokens, at most, that the replay would not choose."""
    slack: float
    """Logits: three times the largest margin of an honest token."""
    margin: Bound
    logprob: Bound
    sketch: Bound
    alternatives: dict[str, float] = {}
    """By an alternative's name: of the tokens that an honest run's claim and this alternative explain differently, the
    part, at most, that the alternative explains. EVEN for those that are not named."""


class ThresholdFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `tallynet calibrate` writes. `evidence` holds the raw scores and is for people and for checking."""

    format: str
    pairs: dict[str, Thresholds]
    """By `NODE_DTYPE/AUDITOR_DTYPE`."""
    evidence: Mapping[str, Any]

    def of(self, node: str | None, auditor: str) -> tuple[str, Thresholds]:
        """The pair's name and thresholds; the loosest of all for a pair that nobody measured."""
        name = f"{node}/{auditor}"
        if name in self.pairs:
            return name, self.pairs[name]
        return ANY, loosest(self.pairs.values())


def loosest(given: Iterable[Thresholds]) -> Thresholds:
    """What an honest run of any of these pairs stays under."""
    known = list(given)
    return Thresholds(
        max(one.mismatches for one in known),
        max(one.slack for one in known),
        _widest(one.margin for one in known),
        _widest(one.logprob for one in known),
        _widest(one.sketch for one in known),
        {name: max(one.alternatives.get(name, EVEN) for one in known) for name in known[0].alternatives},
    )


def read_thresholds(path: Path | None = None) -> ThresholdFile:
    """The file named, or the one that ships. Raises `Misconfigured`."""
    try:
        found = msgspec.json.decode((path or DEFAULT).read_bytes(), type=ThresholdFile)
    except (OSError, msgspec.DecodeError) as error:
        raise Misconfigured(f"The thresholds in {path or DEFAULT} cannot be read: {error}", remedy=_REMEDY) from error
    if found.format != FORMAT or not found.pairs:
        raise Misconfigured(f"{path or DEFAULT} holds no thresholds of form {FORMAT}.", remedy=_REMEDY)
    return found


def _widest(bounds: Iterable[Bound]) -> Bound:
    known = list(bounds)
    return Bound(max(one.centre for one in known), max(one.suspect for one in known), max(one.fail for one in known))


_REMEDY = "Make a file with `tallynet calibrate --model DIR -o FILE`."
