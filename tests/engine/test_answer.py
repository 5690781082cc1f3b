"""Pieces of an answer: how large, how soon, and why the last one is the last."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallynet.engine.answer import LONGEST_WAIT_SECONDS, PIECE_SECONDS, PIECE_TOKENS, Answer
from tallynet.engine.engine import Finish, Piece
from tallynet.engine.fake import END, decode, encode


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def answer(*, limit: int = 1000, stops: tuple[str, ...] = (), clock: Clock | None = None) -> Answer:
    return Answer(limit=limit, stops=stops, ends=frozenset({END}), decode=decode, clock=clock or Clock())


def pieces_of(tokens: tuple[int, ...], of: Answer) -> list[Piece]:
    """What comes of the tokens until the answer ends."""
    pieces = (of.add(token, -0.5) for token in tokens if of.finish is None)
    return [piece for piece in pieces if piece is not None]


def test_first_token_comes_at_once_and_then_sixteen_together() -> None:
    pieces = pieces_of(encode("x" * 40), answer(limit=40))

    assert [len(piece.tokens) for piece in pieces] == [1, PIECE_TOKENS, PIECE_TOKENS, 7]
    assert [piece.finish for piece in pieces] == [None, None, None, Finish.LENGTH]


def test_a_token_waits_no_longer_than_its_time() -> None:
    clock = Clock()
    slow = answer(clock=clock)
    assert slow.add(1, 0.0) is not None
    assert slow.add(2, 0.0) is None
    clock.now += PIECE_SECONDS

    piece = slow.add(3, 0.0)
    assert piece is not None
    assert piece.tokens == (2, 3)


def test_a_token_waits_longer_in_company() -> None:
    clock = Clock()
    shared = answer(clock=clock)
    assert shared.add(1, 0.0, running=4) is not None
    clock.now += PIECE_SECONDS
    assert shared.add(2, 0.0, running=4) is None
    clock.now += 3 * PIECE_SECONDS

    piece = shared.add(3, 0.0, running=4)
    assert piece is not None
    assert piece.tokens == (2, 3)


def test_a_token_waits_for_its_bound_in_the_largest_company() -> None:
    clock = Clock()
    shared = answer(clock=clock)
    shared.add(1, 0.0, running=1000)
    clock.now += LONGEST_WAIT_SECONDS

    assert shared.add(2, 0.0, running=1000) is not None


def test_end_token_is_committed_without_text() -> None:
    pieces = pieces_of((*encode("so be it"), END), answer())

    assert pieces[-1].finish is Finish.EOS
    assert pieces[-1].tokens[-1] == END
    assert "".join(piece.text for piece in pieces) == "so be it"


def test_stop_string_cuts_the_text_and_keeps_the_tokens() -> None:
    tokens = encode("12345 STOP")
    pieces = pieces_of(tokens, answer(stops=("4", "STOP")))

    assert pieces[-1].finish is Finish.STOP
    assert "".join(piece.text for piece in pieces) == "123"
    assert sum((piece.tokens for piece in pieces), ()) == tokens[:4]


def test_stop_at_the_last_token_is_a_stop() -> None:
    assert pieces_of(encode("abc"), answer(limit=3, stops=("c",)))[-1].finish is Finish.STOP


@pytest.mark.parametrize("last", [END, ord("y")])
def test_possible_stop_is_shown_when_the_answer_ends(last: int) -> None:
    pieces = pieces_of((*b"ST", last), answer(limit=3, stops=("STOP",)))

    assert "".join(piece.text for piece in pieces) == "ST" + ("y" if last != END else "")


@given(st.binary(min_size=1, max_size=60), st.integers(1, 60))
def test_pieces_joined_are_the_answer(data: bytes, limit: int) -> None:
    tokens = tuple(data)[:limit]
    pieces = pieces_of(tokens, answer(limit=len(tokens)))

    assert sum((piece.tokens for piece in pieces), ()) == tokens
    assert "".join(piece.text for piece in pieces) == decode(tokens)
    assert all(1 <= len(piece.tokens) == len(piece.logprobs) <= PIECE_TOKENS for piece in pieces)
    assert [piece.finish is None for piece in pieces] == [True] * (len(pieces) - 1) + [False]
