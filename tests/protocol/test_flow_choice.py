"""What a flow decides by itself: splits, votes, acceptance."""

import pytest

from tallynet.protocol.errors import InvalidFlow
from tallynet.protocol.flow import Choice, Split
from tallynet.protocol.flow_choice import accepts, agreeing, choose, plain, split_text


def test_lines_are_split_without_what_is_around_them() -> None:
    assert split_text(" one\r\n\n\ttwo \n \nthree", Split.LINES) == ("one", "two", "three")
    assert split_text("", Split.LINES) == ()


def test_a_json_array_is_split() -> None:
    assert split_text(' ["a", "b\\n"]\n', Split.JSON) == ("a", "b\n")


@pytest.mark.parametrize("text", ["", "a, b", '{"a": 1}', "[1]", '["a"', '["a"] and so on', '["\\ud800"]'])
def test_invalid_json_is_refused(text: str) -> None:
    with pytest.raises(InvalidFlow, match="no JSON array"):
        split_text(text, Split.JSON)


def test_small_differences_do_not_split_a_vote() -> None:
    ballots = ["Osaka", " TOKYO.", "tokyo", "Tokyo !"]

    assert choose(ballots, Choice.MAJORITY) == 1
    assert agreeing(ballots, 1) == 3
    assert plain("\tA  b\nC?! ") == "a b c"


def test_of_equals_the_first_ballot_wins() -> None:
    assert choose(["a", "b", "b", "a"], Choice.MAJORITY) == 0
    assert choose(["a", "b", "c"], Choice.AGREEMENT) == 0
    assert choose(["", ""], Choice.AGREEMENT) == 0


def test_the_ballot_wins_that_shares_most_with_the_others() -> None:
    ballots = ["blue and green", "the sky is blue", "the sky is blue today", "is it"]

    assert choose(ballots, Choice.AGREEMENT) == 1


def test_only_ascii_letters_are_lowered() -> None:
    assert plain("ÄÖ İ ẞ") == "ÄÖ İ ẞ"


def test_a_critique_accepts_by_its_first_words() -> None:
    assert accepts("\n  OK, fine", "ok")
    assert not accepts("Not ok", "ok")
