"""The numbers of a small suite, worked out by hand."""

import math

import msgspec
import pytest

from tallynet.evaluation.figures import Kind, Metric
from tallynet.evaluation.metrics import measure
from tallynet.evaluation.outputs import Output
from tallynet.evaluation.pairs import compare_pair
from tallynet.evaluation.questions import Question, list_questions
from tallynet.evaluation.suite import Paired, PerplexityPart, Suite, Written
from tallynet.protocol.job import Task
from tallynet.protocol.score import ScoredToken
from tests.evaluation.examples import SUITE, answer_of


def output_of(question: Question) -> Output:
    bodies = answer_of(question)
    if question.task is not Task.SCORE:
        return Output("".join(body.text for body in bodies))
    letters = [scored(letter, value) for body in bodies for letter, value in zip(body.text, body.logprobs, strict=True)]
    return Output(question.request.text, tuple(letters))


def scored(text: str, logprob: float) -> ScoredToken:
    return ScoredToken(sum(map(ord, text)), text, logprob, ())


def found() -> dict[tuple[str, str], Metric]:
    outputs = {question: output_of(question) for question in list_questions(SUITE, 0)}
    return {(metric.part, metric.kind): metric for metric in measure(SUITE, outputs)}


def value(metric: Metric) -> float:
    return metric.value / 1e6


def test_every_part_has_its_numbers() -> None:
    assert list(found()) == [
        ("sums", Kind.EXACT), ("words", Kind.BLEU), ("words", Kind.CHRF), ("texts", Kind.PERPLEXITY),
        ("texts", Kind.BITS), ("names", Kind.DIFFERENCE), ("names", Kind.PREFERENCE),
    ]  # fmt: skip
    assert all(metric.low <= metric.value <= metric.high for metric in found().values())


def test_white_space_around_an_answer_does_not_make_it_wrong() -> None:
    metric = found()["sums", Kind.EXACT]

    assert value(metric) == pytest.approx(2 / 3, abs=1e-6)
    assert metric.items == 3


def test_bleu_is_the_mean_of_the_precisions() -> None:
    """9 of 10 words, 6 of 8 pairs, 4 of 6 triples and 2 of 4 fours are right, at equal length."""
    expected = 100 * (9 / 10 * 6 / 8 * 4 / 6 * 2 / 4) ** 0.25

    assert value(found()["words", Kind.BLEU]) == pytest.approx(expected, abs=1e-5)


def test_perplexity_and_bits_are_of_all_texts_together() -> None:
    """24 letters at half a nat, of which 22 have a likelihood: nothing stands before the first of a text."""
    assert value(found()["texts", Kind.PERPLEXITY]) == pytest.approx(math.exp(0.5), abs=1e-6)
    assert value(found()["texts", Kind.BITS]) == pytest.approx(0.5 / math.log(2) * 23 / 25, abs=1e-6)


def test_numbers_beyond_all_bounds_are_stated_as_the_bound() -> None:
    """A node can tell any likelihood down to the least float32, and must not be able to spoil the report by it."""
    suite = Suite(name="s", version="1", parts=(PerplexityPart(name="t", items=(Written("ab"),)), SUITE.parts[3]))
    outputs = {question: output_of(question) for question in list_questions(suite, 1)}
    first, one, _ = outputs
    outputs[first] = Output("ab", (scored("b", -3e38),))
    outputs[one] = Output(one.request.text, tuple(scored(token.text, -3e38) for token in outputs[one].scored))

    found = measure(suite, outputs)

    assert [value(metric) for metric in found] == [1e9, 1e9, -1e9, 0]
    assert msgspec.json.decode(msgspec.json.encode(found), type=tuple[Metric, ...]) == found


def test_a_difference_counts_only_the_words_behind() -> None:
    """Each of the letters of ` was brave.` is likelier by a quarter behind the boy's name."""
    difference, preference = found()["names", Kind.DIFFERENCE], found()["names", Kind.PREFERENCE]

    assert value(difference) == pytest.approx(0.25)
    assert difference.items == 2
    assert (value(preference), preference.items) == (1.0, 2)


def pair(one: list[ScoredToken], other: list[ScoredToken]) -> float | None:
    return compare_pair(Paired("A {} ran.", "man", "woman"), Output("", tuple(one)), Output("", tuple(other)))


def test_what_the_names_themselves_cost_does_not_count() -> None:
    behind = [scored(" ran", -1.0), scored(".", -0.5)]

    assert pair([scored(" man", -9.0), *behind], [scored(" woman", -1.0), *behind]) == 0


def test_a_last_piece_that_both_names_have_does_not_count() -> None:
    one = [scored("man", -6.0), scored(" ran", -1.0)]
    other = [scored("wo", -3.0), scored("man", -0.1), scored(" ran", -2.0)]

    assert pair(one, other) == 1.0


def test_a_token_that_reaches_into_the_name_ends_the_comparison() -> None:
    one = [scored("man ra", -5.0), scored("n", -1.0), scored(".", -1.0)]
    other = [scored("man ra", -1.0), scored("n", -2.0), scored(".", -1.0)]

    assert pair(one, other) == 0.5


def test_a_pair_without_a_token_in_common_is_left_out() -> None:
    assert pair([scored("man ran.", -5.0)], [scored("woman ran.", -1.0)]) is None


def test_a_probe_whose_pairs_all_fall_out_has_no_number() -> None:
    outputs = {question: output_of(question) for question in list_questions(SUITE, 0)}
    for question in outputs:
        if question.part == "names":
            outputs[question] = Output(question.request.text, (scored(question.request.text, -1.0),))

    assert {metric.part for metric in measure(SUITE, outputs)} == {"sums", "words", "texts"}
