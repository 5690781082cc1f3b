"""(3) A vector as an answer: how it is written, what is refused, and how two of them are compared."""

import math
import random
from collections.abc import Sequence

import pytest

from tallynet.protocol.chunk import MAX_CHUNK_TEXT, ChunkBody
from tallynet.protocol.embedding import (
    MAX_DIMENSIONS,
    TOLERANCES,
    compare_embeddings,
    decode_embedding,
    encode_embedding,
    read_embedding,
)
from tallynet.protocol.errors import InvalidChunk


def some(dimensions: int, number: int = 1) -> list[float]:
    draw = random.Random(number)
    return [draw.gauss(0, 1) for _ in range(dimensions)]


def normal(values: Sequence[float]) -> list[float]:
    length = math.hypot(*values)
    return [value / length for value in values]


def refusal(chunks: Sequence[ChunkBody]) -> int | None:
    with pytest.raises(InvalidChunk) as caught:
        decode_embedding(chunks)
    return caught.value.check


@pytest.mark.parametrize("dimensions", [1, 2, 384, MAX_DIMENSIONS])
def test_a_vector_comes_back_with_length_1_and_within_its_rounding(dimensions: int) -> None:
    values = some(dimensions)

    vector = decode_embedding([ChunkBody((), encode_embedding(values), ())])

    assert math.dist(vector, normal(values)) <= 2**-11
    assert max(abs(a - b) for a, b in zip(vector, normal(values), strict=True)) <= 2**-12


def test_the_largest_vector_fills_one_chunk_and_a_larger_one_is_refused() -> None:
    assert len(encode_embedding(some(MAX_DIMENSIONS))) == MAX_CHUNK_TEXT
    with pytest.raises(ValueError, match="6145 numbers"):
        encode_embedding(some(MAX_DIMENSIONS + 1))


@pytest.mark.parametrize("values", [[], [0.0, 0.0], [math.nan, 1.0], [math.inf, 1.0]])
def test_what_has_no_direction_cannot_be_written(values: list[float]) -> None:
    with pytest.raises(ValueError, match="no embedding"):
        encode_embedding(values)


def test_1_chunks_that_are_not_one_without_tokens_are_refused() -> None:
    text = encode_embedding([1.0])

    assert refusal([]) == 1
    assert refusal([ChunkBody((7,), text, (0.0,))]) == 1
    assert refusal([ChunkBody((7,), "", (0.0,)), ChunkBody((), text, ())]) == 1
    assert decode_embedding([ChunkBody((), text, ())]) == (1.0,)


def test_5_a_vector_with_other_dimensions_is_refused() -> None:
    with pytest.raises(InvalidChunk) as caught:
        compare_embeddings((1.0,), (1.0, 0.0), "float32")
    assert caught.value.check == 5


def test_a_vector_rounded_twice_holds_in_float32() -> None:
    for number in range(50):
        values = some(384, number)
        nudged = [value * (1 + 1e-5 * math.sin(place)) for place, value in enumerate(values)]

        distance = compare_embeddings(sent(values), sent(nudged), "float32")

        assert distance.holds, distance


@pytest.mark.parametrize("number_format", TOLERANCES)
def test_another_vector_never_holds(number_format: str) -> None:
    vector = sent(some(384))
    strangers = [some(384, 2), [-value for value in vector], [1.0] * 384, [1.0] + [0.0] * 383]

    for stranger in strangers:
        assert not compare_embeddings(sent(stranger), vector, number_format).holds


def test_one_component_changed_by_more_than_the_tolerance_does_not_hold() -> None:
    vector = sent(some(384))
    moved = [vector[0] + 2 * TOLERANCES["float32"], *vector[1:]]

    distance = compare_embeddings(sent(moved), vector, "float32")

    assert not distance.holds
    assert distance.largest == pytest.approx(2 * TOLERANCES["float32"], rel=0.05)
    assert distance.difference == pytest.approx(math.dist(normal(sent(moved)), normal(vector)), rel=1e-3)


def test_an_unknown_number_format_has_no_tolerance() -> None:
    with pytest.raises(KeyError):
        compare_embeddings((1.0,), (1.0,), "int3")


def sent(values: Sequence[float]) -> tuple[float, ...]:
    """What arrives of them."""
    return read_embedding(encode_embedding(values))
