"""Pieces that are told leave from the decoding thread, and are the same that a reader gets."""

import threading

import pytest
import trio

from tallynet.engine import Finish, Piece, open_engine
from tallynet.engine.engine import TellingEngine
from tests.engine.conftest import Directory, Opened
from tests.engine.generations import greedy, read, sampled


async def test_told_generations_are_those_that_are_read(engine: Opened, nursery: trio.Nursery) -> None:
    """And only their last piece is read too."""
    running, told = engine("llama"), list[tuple[int, Piece | None, int]]()
    assert isinstance(running, TellingEngine)
    running.tell_through(lambda pieces: told.extend((*piece, threading.get_ident()) for piece in pieces))
    await nursery.start(running.run)
    asked = {1: greedy(max_tokens=40), 2: sampled(7, max_tokens=40), 3: greedy((9,), max_tokens=3)}

    async def tell(number: int) -> None:
        async with running.stream(asked[number], number) as pieces:
            read_too = [piece async for piece in pieces]
        assert read_too == [piece for whose, piece, _ in told if whose == number and piece and piece.finish is not None]

    async with trio.open_nursery() as readers:
        for number in asked:
            readers.start_soon(tell, number)

    for number, generation in asked.items():
        alone = await read(running, generation)
        slot, *pieces = [piece for whose, piece, _ in told if whose == number]
        assert slot is None
        assert [token for piece in pieces if piece for token in piece.tokens] == alone.tokens
        assert "".join(piece.text for piece in pieces if piece) == alone.text
        assert pieces[-1] and pieces[-1].finish is Finish.LENGTH
    assert threading.get_ident() not in {thread for _, _, thread in told}


async def test_a_number_without_a_listener_is_the_callers_bug(checkpoint: Directory, nursery: trio.Nursery) -> None:
    running = open_engine(str(checkpoint("llama")), slots=1)
    assert isinstance(running, TellingEngine)
    await nursery.start(running.run)

    with pytest.raises(RuntimeError, match="nobody listens"):
        async with running.stream(greedy(), 1):
            pass
