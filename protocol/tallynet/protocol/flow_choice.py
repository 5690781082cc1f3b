"""(7) What a flow decides by itself from what models answered: how it splits a text, who wins a vote,
when a draft is good.

Every rule gives the same on every machine: letters are compared as ASCII has them, fractions as whole numbers.
Source: spec chapter 7, "Decisions".
"""

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

import msgspec

from tallynet.protocol.errors import InvalidFlow
from tallynet.protocol.flow import Choice, Split
from tallynet.protocol.flow_template import WHITE, strip

_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
_END = ".!?"
_STRINGS = msgspec.json.Decoder(list[str])


def split_text(text: str, split: Split) -> tuple[str, ...]:
    """The items of a text. Raises `InvalidFlow` when it is not the JSON that it should be."""
    if split is Split.LINES:
        return tuple(line for line in map(strip, text.split("\n")) if line)
    try:
        return tuple(_STRINGS.decode(strip(text)))
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise InvalidFlow(
            f"what it goes over is no JSON array of strings: {error}",
            remedy="Ask for the list in so many words, or split it by lines.",
        ) from error


def choose(ballots: Sequence[str], choice: Choice) -> int:
    """Which ballot wins, counted from 0; of equals the first. At least one ballot."""
    weights = _agreement(ballots) if choice is Choice.AGREEMENT else _votes(ballots)
    return max(range(len(ballots)), key=lambda place: (weights[place], -place))


def agreeing(ballots: Sequence[str], winner: int) -> int:
    """How many ballots say what the winner says, itself included."""
    return int(_votes(ballots)[winner])


def accepts(critique: str, accept: str) -> bool:
    """Whether a critique accepts the draft."""
    return strip(critique).translate(_LOWER).startswith(accept.translate(_LOWER))


def plain(text: str) -> str:
    """What a majority compares: lower case, single spaces, none around it, no `.`, `!` or `?` at its end."""
    return " ".join(_words(text)).rstrip(_END + " ")


def _votes(ballots: Sequence[str]) -> list[Fraction]:
    said = [plain(ballot) for ballot in ballots]
    return [Fraction(said.count(one)) for one in said]


def _agreement(ballots: Sequence[str]) -> list[Fraction]:
    """For each ballot the sum of what it shares with each of the others, 0 to 1 each."""
    words = [Counter(_words(ballot)) for ballot in ballots]
    return [
        sum((_shared(one, other) for at, other in enumerate(words) if at != place), Fraction(0))
        for place, one in enumerate(words)
    ]


def _shared(one: Counter[str], other: Counter[str]) -> Fraction:
    """Twice the words that both have, by all words of both: Dice's coefficient of multisets; 1 for two empty texts."""
    total = one.total() + other.total()
    return Fraction(2 * (one & other).total(), total) if total else Fraction(1)


def _words(text: str) -> list[str]:
    lower = text.translate(_LOWER)
    for white in WHITE[1:]:
        lower = lower.replace(white, " ")
    return [word for word in lower.split(" ") if word]
