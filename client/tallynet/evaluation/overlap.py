"""The only file that imports sacrebleu: BLEU and chrF from counts of n-grams, item by item.

Both are made of sums over all items, so that a resample costs an addition (`bootstrap`). The counts are sacrebleu's
own; a test compares the scores with those of its public functions.
"""

from collections.abc import Sequence
from importlib.metadata import version
from typing import cast

from sacrebleu.metrics.base import Metric
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from tallynet.evaluation.bootstrap import Sums, estimate_by_bootstrap
from tallynet.evaluation.intervals import Estimate

SACREBLEU = version("sacrebleu")
SETTINGS = "BLEU case:mixed|eff:yes|tok:13a|smooth:exp; chrF2 case:mixed|nc:6|nw:0|space:no"
"""As sacrebleu's signatures write them."""


def estimate_bleu(answers: Sequence[str], references: Sequence[str]) -> Estimate:
    """BLEU of all answers together, 0 to 100. Words are those of the tokenizer 13a; orders up to the longest n-gram."""
    return _estimate(BLEU(effective_order=True, force=True), answers, references)


def estimate_chrf(answers: Sequence[str], references: Sequence[str]) -> Estimate:
    """chrF2 of all answers together, 0 to 100."""
    return _estimate(CHRF(), answers, references)


def _estimate(metric: Metric, answers: Sequence[str], references: Sequence[str]) -> Estimate:
    counts = cast(list[Sums], metric._extract_corpus_statistics(answers, [references]))

    def score(sums: Sums) -> float:
        return float(metric._compute_score_from_stats([int(value) for value in sums]).score)

    return estimate_by_bootstrap(counts, score)
