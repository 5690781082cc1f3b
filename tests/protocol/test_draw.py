"""The draw: the same for everybody, another for every block, node and size, and nobody's choice."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallynet.protocol.draw import DRAW_DELAY_BLOCKS, MAX_DRAWN, Draw, drawing_block
from tests.protocol.examples import NODE, STRANGER, digest

BLOCK = digest("block")
DRAW = Draw(NODE.address, 10_000, BLOCK)


@pytest.mark.parametrize(
    "other",
    [
        Draw(STRANGER.address, 10_000, BLOCK),
        Draw(NODE.address, 10_001, BLOCK),
        Draw(NODE.address, 10_000, digest("another block")),
    ],
)
def test_another_node_size_or_block_draws_otherwise(other: Draw) -> None:
    assert DRAW.indices(20) == Draw(NODE.address, 10_000, BLOCK).indices(20)
    assert len(set(DRAW.indices(20)) & set(other.indices(20))) < 3


@given(size=st.integers(1, 3000), count=st.integers(1, 2000))
def test_every_entry_is_drawn_at_most_once(size: int, count: int) -> None:
    drawn = Draw(NODE.address, size, BLOCK).indices(count)

    assert len(set(drawn)) == len(drawn) == min(size, count, MAX_DRAWN)
    assert all(0 <= index < size for index in drawn)


def test_a_larger_sample_begins_with_the_smaller_one() -> None:
    assert DRAW.indices(300)[:59] == DRAW.indices(59)


def test_a_small_log_is_drawn_whole() -> None:
    assert sorted(Draw(NODE.address, 50, BLOCK).indices()) == list(range(50))


def test_no_entry_is_drawn_more_often_than_others() -> None:
    firsts = Counter(Draw(NODE.address, 10, digest(str(block))).indices(1)[0] for block in range(2000))

    chi_square = sum((firsts[index] - 200) ** 2 / 200 for index in range(10))
    assert chi_square < 27.9  # 9 degrees of freedom: one in a thousand


def test_the_block_that_draws_comes_after_that_of_the_anchor() -> None:
    assert drawing_block(100) == 100 + DRAW_DELAY_BLOCKS > 100
