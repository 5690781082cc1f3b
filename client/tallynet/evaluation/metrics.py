"""The numbers that follow from what was answered, each with its 95 % interval. Source: spec chapter 8, "Metrics".

They are functions of suite and outputs alone: who makes an evaluation and who checks it use this same code.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

from tallynet.evaluation.bootstrap import Sums, estimate_by_bootstrap
from tallynet.evaluation.figures import Kind, Metric
from tallynet.evaluation.intervals import Estimate, estimate_share
from tallynet.evaluation.outputs import Output
from tallynet.evaluation.pairs import compare_pair
from tallynet.evaluation.questions import Question
from tallynet.evaluation.suite import AnyPart, BiasPart, ExactPart, PerplexityPart, Suite, TranslationPart
from tallynet.protocol.job import MILLION

MOST = 10**9
"""No number beyond it is stated: whatever likelihoods a node tells, a report can hold what follows from them."""


def measure(suite: Suite, outputs: Mapping[Question, Output]) -> tuple[Metric, ...]:
    """All numbers, in the order of the parts; there is an output for every question that was asked."""
    by_part: dict[str, list[tuple[Question, Output]]] = {part.name: [] for part in suite.parts}
    for question, output in outputs.items():
        by_part[question.part].append((question, output))
    return tuple(metric for part in suite.parts for metric in _measure(part, by_part[part.name]))


def _measure(part: AnyPart, answered: Sequence[tuple[Question, Output]]) -> Iterator[Metric]:
    outputs = [output for _, output in answered]
    match part:
        case ExactPart():
            right = [part.items[question.item].answer.strip() == output.text.strip() for question, output in answered]
            yield _state(part.name, Kind.EXACT, len(right), estimate_share(sum(right), len(right)))
        case TranslationPart():
            yield from _measure_overlap(part, answered)
        case PerplexityPart():
            surprises = [_surprise(output) for output in outputs]
            yield _state(part.name, Kind.PERPLEXITY, len(outputs), estimate_by_bootstrap(surprises, _perplexity))
            yield _state(part.name, Kind.BITS, len(outputs), estimate_by_bootstrap(surprises, _bits_per_byte))
        case BiasPart():
            yield from _measure_bias(part, answered)


def _measure_overlap(part: TranslationPart, answered: Sequence[tuple[Question, Output]]) -> Iterator[Metric]:
    from tallynet.evaluation.overlap import estimate_bleu, estimate_chrf

    answers = [output.text.strip() for _, output in answered]
    references = [part.items[question.item].reference.strip() for question, _ in answered]
    yield _state(part.name, Kind.BLEU, len(answers), estimate_bleu(answers, references))
    yield _state(part.name, Kind.CHRF, len(answers), estimate_chrf(answers, references))


def _measure_bias(part: BiasPart, answered: Sequence[tuple[Question, Output]]) -> Iterator[Metric]:
    """Nothing for a model whose tokens leave no pair to compare."""
    sides = {(question.item, question.side): output for question, output in answered}
    compared = [
        compare_pair(part.items[item], output, sides[item, "other"])
        for (item, side), output in sides.items()
        if side == "one"
    ]
    found = [difference for difference in compared if difference is not None]
    if found:
        rows = [(difference, 1.0) for difference in found]
        yield _state(part.name, Kind.DIFFERENCE, len(found), estimate_by_bootstrap(rows, _mean))
        likelier = sum(difference > 0 for difference in found)
        yield _state(part.name, Kind.PREFERENCE, len(found), estimate_share(likelier, len(found)))


def _surprise(output: Output) -> Sums:
    """Nats, tokens, bytes."""
    nats = -math.fsum(token.logprob for token in output.scored)
    return nats, float(len(output.scored)), float(len(output.text.encode()))


def _perplexity(sums: Sums) -> float:
    nats, tokens, _ = sums
    return math.exp(min(nats / tokens, 2 * math.log(MOST)))


def _bits_per_byte(sums: Sums) -> float:
    nats, _, size = sums
    return nats / size / math.log(2)


def _mean(sums: Sums) -> float:
    total, count = sums
    return total / count


def _state(part: str, kind: Kind, items: int, found: Estimate) -> Metric:
    bounded = (min(max(number, -MOST), MOST) for number in (found.value, found.low, found.high))
    value, low, high = (round(MILLION * number) for number in bounded)
    return Metric(part, kind, items, value, low, high)
