"""Stop strings: found wherever the text is cut, shown nothing of."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallynet.engine.stops import StopScanner

PARTS = st.lists(st.text("abc", max_size=4), max_size=8)
STOPS = st.lists(st.text("abc", min_size=1, max_size=3), max_size=3).map(tuple)


def shown(parts: list[str], stops: tuple[str, ...]) -> str:
    scanner = StopScanner(stops)
    text = "".join(scanner.feed(part) for part in parts)
    return text if scanner.found else text + scanner.rest()


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        (["one END two"], "one "),
        (["one E", "N", "D two"], "one "),
        (["one E", "N", "O"], "one ENO"),
        (["one EN"], "one EN"),
        (["END"], ""),
    ],
)
def test_text_ends_before_the_stop_string(parts: list[str], text: str) -> None:
    assert shown(parts, ("END",)) == text


def test_possible_stop_is_held_back() -> None:
    scanner = StopScanner(("END",))

    assert scanner.feed("one E") == "one "
    assert scanner.feed("x") == "Ex"


def test_stop_that_is_complete_first_wins() -> None:
    assert shown(["abcd"], ("abcd", "bc")) == "a"
    assert shown(["abcd"], ("abcd", "bcd")) == ""


def test_nothing_follows_a_stop() -> None:
    scanner = StopScanner(("b",))

    assert scanner.feed("abc") == "a"
    assert scanner.found
    assert scanner.feed("abc") == scanner.rest() == ""


@given(parts=PARTS, stops=STOPS)
def test_cuts_between_the_parts_do_not_matter(parts: list[str], stops: tuple[str, ...]) -> None:
    assert shown(parts, stops) == shown(["".join(parts)], stops) == shown(list("".join(parts)), stops)


@given(parts=PARTS, stops=STOPS)
def test_no_stop_string_is_shown(parts: list[str], stops: tuple[str, ...]) -> None:
    text = shown(parts, stops)

    assert "".join(parts).startswith(text)
    assert not any(stop in text for stop in stops)
