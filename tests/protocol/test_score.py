"""(3) A given text's tokens with their logprobs as an answer: how it is read, and what is refused."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallynet.protocol.chunk import MAX_CHUNK_EVIDENCE, MAX_CHUNK_TOKENS, ChunkBody
from tallynet.protocol.errors import InvalidChunk, InvalidJob
from tallynet.protocol.job import MAX_TOKENS
from tallynet.protocol.request import MAX_TOP, Request
from tallynet.protocol.score import (
    MAX_LIKELY_BYTES,
    Likely,
    Mark,
    cut_text,
    decode_score,
    pack_likeliest,
    read_marks,
    split_text,
)
from tests.protocol.vectors_of_scores import PROMPT, TEXT, chunk, invalid_scores


def test_tokens_come_with_their_texts_logprobs_and_likeliest() -> None:
    tokens, after = decode_score(TEXT, PROMPT, (chunk(),))

    assert [(one.token, one.text, one.logprob, one.greedy) for one in tokens] == [
        (7, " Tokyo", -1.25, False),
        (8, ".", -0.125, True),
    ]
    assert [likely.text for likely in tokens[0].likeliest] == [likely.text for likely in after] == [" Kyōto", " Tokyo"]


@pytest.mark.parametrize(
    ("check", "request_", "chunks"),
    [(check, request, chunks) for check, request, chunks, _ in invalid_scores()],
    ids=[f"{check} {reason}" for check, _, _, reason in invalid_scores()],
)
def test_what_is_no_score_is_refused(check: int, request_: Request, chunks: Sequence[ChunkBody]) -> None:
    with pytest.raises(InvalidChunk) as caught:
        decode_score(request_, PROMPT, chunks)

    assert caught.value.check == check


@given(data=st.binary(max_size=200))
def test_random_evidence_is_read_or_refused(data: bytes) -> None:
    body = ChunkBody((1, 2), "ab", (-0.5, -0.5), data)
    try:
        marked = read_marks(body)
    except InvalidChunk as refusal:
        assert refusal.check in (2, 3)
    else:
        packed = b"".join(mark.pack() for mark in marked.marks) + pack_likeliest(marked.after) + marked.records
        assert len(packed) == len(data)


def test_the_longest_marks_of_one_token_fit_a_chunk_with_what_follows() -> None:
    longest = tuple(Likely(2**32 - 1, -1.0, "x" * MAX_LIKELY_BYTES) for _ in range(MAX_TOP))

    assert len(Mark(2**16 - 1, longest).pack() + pack_likeliest(longest)) + 64 <= MAX_CHUNK_EVIDENCE


def test_the_text_of_a_likely_token_is_cut_at_a_character() -> None:
    assert cut_text("é" * 40) == "é" * 32
    assert cut_text("x" + "é" * 40) == "x" + "é" * 31
    with pytest.raises(ValueError, match="80 bytes"):
        pack_likeliest([Likely(1, -1.0, "é" * 40)])


def test_the_first_token_is_what_the_others_follow() -> None:
    assert split_text((1, 2, 3)) == ((1,), (2, 3))


@pytest.mark.parametrize("count", [0, 1, MAX_TOKENS + 2])
def test_a_text_too_short_or_too_long_cannot_be_scored(count: int) -> None:
    with pytest.raises(InvalidJob, match=f"has {count} tokens"):
        split_text((5,) * count)


def test_a_chunk_of_many_tokens_without_likely_ones() -> None:
    marks = b"".join(Mark(1, ()).pack() for _ in range(MAX_CHUNK_TOKENS)) + pack_likeliest(())
    body = ChunkBody((5,) * 16, "x" * 16, (-1.0,) * 16, marks)

    tokens, after = decode_score(Request(text="x" * 17), (5,), (body,))
    assert (len(tokens), after, tokens[0].greedy) == (16, (), None)
