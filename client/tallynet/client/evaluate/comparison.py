"""An evaluation beside an earlier one of the same suite: which answers are the same, which numbers differ."""

from collections.abc import Sequence
from dataclasses import dataclass

from tallynet.evaluation.figures import Metric
from tallynet.evaluation.outputs import Output, read_output
from tallynet.evaluation.report_checks import Opened

NOISE = 0.01
"""Nats by which the logprob of a token may differ where number formats or kernels do."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came of asking again."""

    same: int
    """Questions with the same answer, or the same likelihoods up to NOISE."""
    of: int
    apart: tuple[Metric, ...]
    """Numbers of now whose intervals have nothing in common with those of then."""

    @property
    def agrees(self) -> bool:
        """Whether all intervals of now meet those of then; single answers may still differ."""
        return not self.apart


def compare(then: Opened, now: Opened, stated: Sequence[Metric], measured: Sequence[Metric]) -> Comparison:
    """`stated` are the numbers of then, `measured` those of now; both are of one suite and limit."""
    pairs = list(zip(_outputs(then), _outputs(now), strict=True))
    before = {(metric.part, metric.kind): metric for metric in stated}
    apart = [metric for metric in measured if _apart(before.get((metric.part, metric.kind)), metric)]
    return Comparison(sum(_same(one, other) for one, other in pairs), len(pairs), tuple(apart))


def _outputs(opened: Opened) -> list[Output]:
    return [read_output(bundle, question) for question, bundle in opened.runs]


def _same(one: Output, other: Output) -> bool:
    if [token.token for token in one.scored] != [token.token for token in other.scored] or one.text != other.text:
        return False
    return all(abs(a.logprob - b.logprob) <= NOISE for a, b in zip(one.scored, other.scored, strict=True))


def _apart(then: Metric | None, now: Metric) -> bool:
    """A number that one of them does not have is a difference too."""
    return then is None or then.high < now.low or now.high < then.low
