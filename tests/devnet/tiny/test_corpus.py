"""The corpus is the same for the same seed, and never shows training what the evaluation asks."""

from __future__ import annotations

from itertools import islice
from random import Random

import pytest

from tallynet.devnet.tiny.corpus import FAMILIES, JUDGED, draw_exchange, generate_texts
from tallynet.devnet.tiny.countries import CAPITALS
from tallynet.devnet.tiny.evaluation import EVALUATION_SEED
from tallynet.devnet.tiny.exchange import Exchange, draw_held_out
from tallynet.devnet.tiny.stories import tell_story
from tallynet.devnet.tiny.trainer import PHASES
from tallynet.devnet.tiny.words import LANGUAGES, SORTABLE, WORDS


def test_same_seed_gives_same_text() -> None:
    assert list(islice(generate_texts(5), 300)) == list(islice(generate_texts(5), 300))
    assert list(islice(generate_texts(5), 300)) != list(islice(generate_texts(6), 300))


def test_training_draws_are_never_held_out() -> None:
    rng = Random(11)
    assert not any(draw_exchange(rng).held_out for _ in range(5000))


@pytest.fixture(scope="module")
def training() -> str:
    """The start of the text of both training phases, in lower case."""
    return "\n".join(
        text for phase in PHASES for text in islice(generate_texts(phase.seed, phase.weights), 4000)
    ).lower()


@pytest.mark.parametrize("task", JUDGED)
def test_training_text_has_no_held_out_prompt(training: str, task: str) -> None:
    for exchange in draw_held_out(FAMILIES[task], Random(EVALUATION_SEED), 100):
        assert f"<|user|>{exchange.prompt.lower()}</s>" not in training


def test_held_out_draws_differ_and_are_held_out() -> None:
    drawn = draw_held_out(FAMILIES["translation"], Random(3), 250)
    assert len({exchange.key for exchange in drawn}) == len(drawn) == 250
    assert all(exchange.held_out for exchange in drawn)


def test_an_exchange_without_key_is_never_held_out() -> None:
    assert not Exchange("story", "Tell me a story.", "Once").held_out


@pytest.mark.parametrize("task", ["sorting", "arithmetic"])
def test_computed_answers_are_right(task: str) -> None:
    rng = Random(4)
    for exchange in (FAMILIES[task](rng) for _ in range(200)):
        if task == "sorting":
            words = exchange.answer.removeprefix("In alphabetical order: ").removesuffix(".").split(", ")
            assert words == sorted(words) and set(words) <= set(SORTABLE) and 3 <= len(words) <= 5
            assert all(word in exchange.prompt for word in words)
        else:
            left, sign, right, _, result = exchange.answer.removesuffix(".").split()
            assert int(result) == (int(left) + int(right) if sign == "+" else int(left) - int(right)) >= 0


def test_word_lists_have_no_doubles() -> None:
    english = [word.english for word in WORDS]
    assert len(set(english)) == len(english) >= 300
    assert all(tuple(word.translations) == LANGUAGES for word in WORDS)
    assert len(set(CAPITALS.values())) == len(CAPITALS) >= 130


def test_a_long_story_is_long() -> None:
    story = tell_story(Random(1), "fox", troubles=5)
    assert len(story.split()) > 200 and " fox called " in story
