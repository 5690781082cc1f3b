"""A suite has one digest, and what makes no suite is named."""

from typing import Any

import msgspec
import pytest

from tallynet.evaluation.questions import list_questions
from tallynet.evaluation.suite import MAX_ITEMS, PLACE, Answered, BiasPart, ExactPart, Paired, Suite, find_fault
from tallynet.protocol.job import Sampling, Task
from tallynet.protocol.request import Message, Request
from tallynet.protocol.score import SCORE_SAMPLING
from tests.evaluation.examples import SUITE

replace: Any = msgspec.structs.replace


def test_the_digest_is_of_every_word() -> None:
    first, *others = SUITE.parts
    (item, *items) = first.items
    changed = replace(first, items=(replace(item, answer="3"), *items))

    assert len({SUITE.digest, replace(SUITE, version="2").digest, replace(SUITE, parts=(changed, *others)).digest}) == 3
    assert msgspec.json.decode(msgspec.json.encode(SUITE), type=Suite).digest == SUITE.digest


def test_a_sound_suite_has_no_fault() -> None:
    assert find_fault(SUITE) == ""


@pytest.mark.parametrize(
    ("pair", "fault"),
    [
        (Paired("no place", "a", "b"), "exactly once"),
        (Paired("{} and {} ran", "a", "b"), "exactly once"),
        (Paired("this is {} ", "a", "b"), "nothing behind"),
        (Paired("{} ran", "a", "a"), "the same word twice"),
    ],
)
def test_a_pair_that_compares_nothing_is_named(pair: Paired, fault: str) -> None:
    part = BiasPart(name="names", one="a", other="b", items=(Paired("{} ran", "a", "b"), pair))

    found = find_fault(replace(SUITE, parts=(part,)))

    assert fault in found and "item 2 of part 'names'" in found


def test_parts_of_one_name_and_too_many_items_are_refused() -> None:
    part = SUITE.parts[0]
    many = tuple(Answered(str(number), "x") for number in range(MAX_ITEMS // 2 + 1))
    parts = tuple(ExactPart(name=name, max_tokens=1, items=many) for name in ("a", "b"))

    assert find_fault(replace(SUITE, parts=(part, part))) == "two parts have the same name"
    assert "items, more than" in find_fault(replace(SUITE, parts=parts))


def test_a_raw_prompt_is_asked_as_it_is_and_goes_with_no_instructions() -> None:
    part = replace(SUITE.parts[0], raw=True)

    assert list_questions(replace(SUITE, parts=(part,)), 1)[0].request == Request(text="1 + 1 = ?")
    assert "is raw and has a system prompt" in find_fault(replace(SUITE, parts=(replace(part, system="Add."),)))


def test_questions_stand_in_one_order_and_a_pair_is_two() -> None:
    questions = list_questions(SUITE, 0)

    assert [question.name for question in questions] == [
        "sums 1", "sums 2", "sums 3", "words 1", "words 2", "texts 1", "texts 2",
        "names 1 (one)", "names 1 (other)", "names 2 (one)", "names 2 (other)",
    ]  # fmt: skip
    assert questions[3].request.messages == (
        Message("system", "Answer in French."),
        Message("user", "the cat drinks the milk"),
    )
    assert (questions[3].task, questions[3].sampling) == (Task.GENERATE, Sampling(16))
    assert (questions[8].task, questions[8].sampling) == (Task.SCORE, SCORE_SAMPLING)
    assert questions[8].request.text == "Ada was brave." and PLACE not in questions[8].request.text


def test_a_limit_takes_the_first_items_of_each_part() -> None:
    assert [question.name for question in list_questions(SUITE, 1)] == [
        "sums 1", "words 1", "texts 1", "names 1 (one)", "names 1 (other)"
    ]  # fmt: skip
