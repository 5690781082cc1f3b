"""BLEU and chrF are those of sacrebleu's public functions."""

import pytest
import sacrebleu

from tallynet.evaluation.overlap import estimate_bleu, estimate_chrf

ANSWERS = ["le chat boit le lait", "le chien mange du pain", "une maison, ce soir", ""]
REFERENCES = ["le chat boit le lait", "le chien mange le pain", "la maison rouge, ce soir", "oui"]


def test_the_scores_are_those_of_the_public_functions() -> None:
    bleu, chrf = estimate_bleu(ANSWERS, REFERENCES), estimate_chrf(ANSWERS, REFERENCES)

    assert bleu.value == pytest.approx(sacrebleu.corpus_bleu(ANSWERS, [REFERENCES], force=True).score)
    assert chrf.value == pytest.approx(sacrebleu.corpus_chrf(ANSWERS, [REFERENCES]).score)
    assert 0 <= bleu.low <= bleu.value <= bleu.high <= 100
    assert 0 <= chrf.low <= chrf.value <= chrf.high <= 100


def test_answers_that_are_their_references_score_100_without_width() -> None:
    for estimate in (estimate_bleu(REFERENCES, REFERENCES), estimate_chrf(REFERENCES, REFERENCES)):
        assert [estimate.low, estimate.value, estimate.high] == pytest.approx([100, 100, 100])


def test_single_words_are_compared_too() -> None:
    """Without a 4-gram, BLEU would be 0 however good the answers are."""
    assert estimate_bleu(["pain", "lait"], ["pain", "lait"]).value == pytest.approx(100)
    assert estimate_bleu(["pain", "eau"], ["pain", "lait"]).value == pytest.approx(50)


def test_nothing_right_and_nothing_said_score_0() -> None:
    assert estimate_bleu(["a", ""], ["b", "c"]).value == 0
    assert estimate_chrf(["a", ""], ["b", "c"]).value == 0
